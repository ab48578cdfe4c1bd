using System.CommandLine;
using Evacuator.Common.Fleet;

namespace Evacuator.Cli.Membership;

/// <summary>"evacuator fleet accept": brings a list from an authority that is offline.</summary>
internal static class AcceptVerb
{
    public static Command Create()
    {
        Argument<FileInfo> file = new("FILE") { Description = $"{SignedRoster.FileName} from the authority's directory." };
        return Verb.Create("accept", "Takes a signed list of the fleet and tells the other nodes.", async (context, token) =>
        {
            string text;
            try
            {
                text = await File.ReadAllTextAsync(context.Get(file)!.FullName, token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CliException(CliExit.Failed, e.Message, e);
            }

            using BrainClient client = context.Connect();
            Evacuator.Fleet.Membership.RosterSpread spread = await client.SendAsync<Evacuator.Fleet.Membership.RosterSpread>(
                HttpMethod.Post, Api.ApiRoutes.Fleet, new Evacuator.Fleet.RosterMessage(text), token).ConfigureAwait(false);
            context.Out.WriteLine($"list {spread.Number} holds here, and on {spread.Told} other nodes");
            foreach (string missing in spread.NotTold)
                context.Out.WriteLine($"  not yet: {missing}");
            return CliExit.Ok;
        }, file);
    }
}
