using System.Net;
using Evacuator.Lab.BmcSimulator.Power;

namespace Evacuator.Lab.BmcSimulator.Cli;

/// <summary>The program's options.</summary>
internal sealed record CommandLine(BmcSimulatorSettings Settings, string? FaultsFile)
{
    public const string Usage =
        """
        BmcSimulator --name NAME --listen ADDR:PORT --state-dir DIR --pid-file FILE --on CMD --graceful CMD --force-off CMD
                     --user USER --password-file FILE [--tree DIR] [--faults FILE]
        """;

    private static readonly string[] Required = ["--name", "--listen", "--state-dir", "--pid-file", "--on", "--graceful", "--force-off", "--user", "--password-file"];
    private static readonly string[] Optional = ["--tree", "--faults"];

    /// <param name="args">As given.</param>
    /// <param name="mistakes">Everything that is wrong, one line each.</param>
    public static CommandLine? Parse(string[] args, out IReadOnlyList<string> mistakes)
    {
        var wrong = new List<string>();
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < args.Length; i += 2)
        {
            if (!Required.Contains(args[i]) && !Optional.Contains(args[i]))
            {
                wrong.Add($"{args[i]} is not an option");
            }
            else if (i + 1 == args.Length)
            {
                wrong.Add($"{args[i]} needs a value");
            }
            else
            {
                values[args[i]] = args[i + 1];
            }
        }

        wrong.AddRange(Required.Where(name => !values.ContainsKey(name)).Select(name => $"{name} is missing"));
        IPEndPoint? listen = null;
        if (values.TryGetValue("--listen", out string? address) && !IPEndPoint.TryParse(address, out listen))
        {
            wrong.Add($"--listen {address} is not ADDRESS:PORT");
        }

        if (values.TryGetValue("--password-file", out string? passwordFile) && !File.Exists(passwordFile))
        {
            wrong.Add($"--password-file {passwordFile} does not exist");
        }

        mistakes = wrong;
        return wrong.Count > 0 ? null : new CommandLine(ToSettings(values, listen!), values.GetValueOrDefault("--faults"));
    }

    private static BmcSimulatorSettings ToSettings(Dictionary<string, string> values, IPEndPoint listen)
    {
        string passwordFile = values["--password-file"];
        return new BmcSimulatorSettings
        {
            Name = values["--name"],
            Listen = listen,
            StateDirectory = values["--state-dir"],
            Tree = values.GetValueOrDefault("--tree"),
            User = values["--user"],
            Password = () => File.ReadAllText(passwordFile).TrimEnd('\r', '\n'),
            Machine = ProcessMachine.Create(values["--pid-file"], values["--on"], values["--graceful"], values["--force-off"]),
        };
    }
}
