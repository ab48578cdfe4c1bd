using System.CommandLine;
using System.Globalization;
using Evacuator.Api;
using Evacuator.Evacuation;
using Evacuator.Notices;

namespace Evacuator.Cli;

internal static class NoticesVerb
{
    public static Command Create()
    {
        Option<bool> test = new("--test") { Description = "Send one to all hooks." };
        Option<bool> json = CliOptions.Json();
        return Verb.Create("notices", "Shows what was told, and what the hooks have not taken.", async (context, token) =>
        {
            using BrainClient client = context.Connect();
            if (context.Get(test))
            {
                Notice notice = await client.SendAsync<Notice>(HttpMethod.Post, $"{ApiRoutes.Notices}/test", null, token).ConfigureAwait(false);
                context.Out.WriteLine($"notice {notice.Key} is on its way; \"evacuator notices\" shows what became of it");
                return CliExit.Ok;
            }

            List<NoticeEntry> entries = await client.GetAsync<List<NoticeEntry>>(ApiRoutes.Notices, token).ConfigureAwait(false);
            if (context.Get(json))
            {
                context.WriteJson(entries);
                return CliExit.Ok;
            }

            TextTable table = new("TIME", "KIND", "HOOKS", "");
            foreach (NoticeEntry entry in entries)
            {
                string hooks = entry.Deliveries.Count == 0 ? "-" : string.Join(", ", entry.Deliveries.Select(hook =>
                    $"{hook.Key}: {(hook.Value.Delivered ? "taken" : hook.Value.Next is null ? $"given up ({hook.Value.Problem})" : hook.Value.Attempts == 0 ? "waits" : $"not taken ({hook.Value.Problem})")}"));
                table.Add(entry.Notice.At.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture), Words.Of(entry.Notice.Kind), hooks, entry.Notice.Text);
            }

            table.WriteTo(context.Out);
            return CliExit.Ok;
        }, test, json);
    }
}
