using Evacuator.Common.Configuration;
using Evacuator.Health;

namespace Evacuator.Tests.Health;

public sealed class FleetShareTests
{
    [Theory]
    [InlineData(1, 25, 1)]
    [InlineData(3, 25, 1)]
    [InlineData(3, 33, 1)]
    [InlineData(3, 67, 2)]
    [InlineData(8, 25, 2)]
    [InlineData(100, 25, 25)]
    [InlineData(100, 100, 100)]
    [InlineData(100, 0, 0)]
    public void Allowed_ShareRoundedDown_ButAtLeastOne(int nodes, int percent, int allowed) => Assert.Equal(allowed, FleetShare.Allowed(nodes, percent));

    [Theory]
    // This node is n2 of three; at 25 % one may be out.
    [InlineData("Open Open", 25, "Granted")]
    [InlineData("Out Open", 25, "Refused")]
    [InlineData("Open Silent", 25, "Refused")]
    [InlineData("Intends Open", 25, "Refused")]
    [InlineData("Open Intends", 25, "Wait")]
    [InlineData("Out Silent", 100, "Granted")]
    [InlineData("Intends Intends", 100, "Wait")]
    [InlineData("Out Open", 67, "Granted")]
    [InlineData("Intends Open", 67, "Granted")]
    [InlineData("Intends Out", 67, "Refused")]
    [InlineData("Open Open", 0, "Refused")]
    public void Decide_PeersAndShare_Table(string claims, int percent, string outcome)
    {
        PeerClaimOf[] peers = [.. claims.Split(' ').Zip((string[])["n1", "n3"], (claim, name) => new PeerClaimOf(name, Enum.Parse<PeerClaim>(claim)))];
        Assert.Equal(Enum.Parse<ShareOutcome>(outcome), FleetShare.Decide("n2", peers, percent).Outcome);
    }

    /// <summary>Any interleaving of nodes that show their intention, ask the others one after the other, decide, give up and try again.</summary>
    [Theory]
    [InlineData(3, 25)]
    [InlineData(4, 50)]
    [InlineData(5, 40)]
    [InlineData(6, 17)]
    public void Decide_AnyInterleaving_NeverGrantsMoreThanTheShareAndNeverNobody(int nodes, int percent)
    {
        int allowed = FleetShare.Allowed(nodes, percent);
        for (int seed = 0; seed < 1000; seed++)
        {
            Random random = new(seed);
            string[] names = [.. Enumerable.Range(0, nodes).Select(number => $"n{number}")];
            PeerClaim[] shown = new PeerClaim[nodes];
            int[] restsUntil = new int[nodes];
            Dictionary<int, PeerClaim>[] heard = [.. names.Select(_ => new Dictionary<int, PeerClaim>())];
            for (int step = 0; step < 2000; step++)
            {
                int node = random.Next(nodes);
                if (shown[node] == PeerClaim.Out || step < restsUntil[node])
                    continue;
                if (shown[node] == PeerClaim.Open)
                {
                    shown[node] = PeerClaim.Intends;
                    heard[node].Clear();
                    continue;
                }

                int[] unasked = [.. Enumerable.Range(0, nodes).Where(peer => peer != node && !heard[node].ContainsKey(peer))];
                if (unasked.Length > 0)
                {
                    int peer = unasked[random.Next(unasked.Length)];
                    heard[node][peer] = shown[peer];
                    continue;
                }

                ShareOutcome outcome = FleetShare.Decide(names[node], [.. heard[node].Select(pair => new PeerClaimOf(names[pair.Key], pair.Value))], percent).Outcome;
                heard[node].Clear();
                // As in the service, whoever is refused lets the others decide before it tries again.
                restsUntil[node] = outcome == ShareOutcome.Refused ? step + (100 * nodes) : 0;
                shown[node] = outcome switch { ShareOutcome.Granted => PeerClaim.Out, ShareOutcome.Refused => PeerClaim.Open, _ => PeerClaim.Intends };
                Assert.True(shown.Count(claim => claim == PeerClaim.Out) <= allowed, $"seed {seed}, step {step}");
            }

            Assert.True(shown.Any(claim => claim == PeerClaim.Out), $"seed {seed}: nobody");
        }
    }

    [Theory]
    // verdict, setting, evacuating, empty, minutes since the last ended, since reopened → outcome, power
    [InlineData("Notify", "Evacuate", false, false, null, null, "Nothing", false)]
    [InlineData("Unknown", "EvacuateAndPowerOff", false, false, null, null, "Nothing", false)]
    [InlineData("Evacuate", "Evacuate", false, false, null, null, "Act", false)]
    [InlineData("Urgent", "Evacuate", false, false, null, null, "Act", false)]
    [InlineData("EvacuateAndPowerOff", "Evacuate", false, false, null, null, "Act", true)]
    [InlineData("Evacuate", "EvacuateAndPowerOff", false, false, null, null, "Act", true)]
    [InlineData("Evacuate", "Notify", false, false, null, null, "AskPerson", false)]
    [InlineData("Urgent", "Ignore", false, false, null, null, "AskPerson", false)]
    [InlineData("Evacuate", "Evacuate", true, false, null, null, "Nothing", false)]
    [InlineData("Evacuate", "Evacuate", false, true, null, null, "Nothing", false)]
    [InlineData("Urgent", "Evacuate", false, false, 59, null, "AskPerson", false)]
    [InlineData("Evacuate", "Evacuate", false, false, 60, null, "Act", false)]
    [InlineData("Evacuate", "Evacuate", false, false, 600, 59, "AskPerson", false)]
    [InlineData("Evacuate", "Evacuate", false, false, null, 1, "AskPerson", false)]
    [InlineData("Evacuate", "Evacuate", false, false, 600, 60, "Act", false)]
    public void Gate_VerdictAndSituation_Table(string verdict, string setting, bool evacuating, bool empty, int? ended, int? reopened, string outcome, bool power)
    {
        DateTimeOffset now = Signals.Start;
        GateAnswer answer = AutomaticGate.Decide(Enum.Parse<Verdict>(verdict), new GateFacts(
            Enum.Parse<SignalAction>(setting), evacuating, empty, ended is { } e ? now.AddMinutes(-e) : null, reopened is { } r ? now.AddMinutes(-r) : null, TimeSpan.FromHours(1), now));
        Assert.Equal((Enum.Parse<GateOutcome>(outcome), power), (answer.Outcome, answer.Power));
    }
}
