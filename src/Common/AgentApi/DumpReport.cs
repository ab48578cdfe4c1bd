using System.Text.Json.Serialization;

namespace Evacuator.Common.AgentApi;

/// <summary>How CRIU is kept from reading memory that has been sent ahead. Numbers are in the journal and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<DumpRung>))]
public enum DumpRung
{
    /// <summary>Not known: being tried, or from an agent that does not tell.</summary>
    None = 0,

    /// <summary>criu-shim.so answers CRIU's questions about it: a freeze that does not grow with memory.</summary>
    Shim = 1,

    /// <summary>CRIU's own --lazy-pages: it walks all memory and writes none of it, about 0.1 s a GiB.</summary>
    LazyPages = 2,

    /// <summary>Not at all: nothing is sent ahead, CRIU writes all memory while the container stands still.</summary>
    Plain = 3,
}

/// <summary>Which of them this host uses, found out by a trial on a process of the agent's own.</summary>
/// <param name="Rung"><see cref="DumpRung.None"/> while the first trial runs</param>
/// <param name="Reason">why no better one; empty if it is the best</param>
/// <param name="Criu">version of CRIU; empty if there is none</param>
/// <param name="Shim">first half of the SHA-256 of criu-shim.so, hex; empty if there is none</param>
/// <param name="Milliseconds">what the trial took</param>
/// <param name="At">when it was made; null: none was needed, or none is over</param>
/// <param name="SharedAhead">shared memory is sent ahead, too; only with the shim</param>
public sealed record DumpReport(DumpRung Rung, string Reason, string Criu, string Shim, double Milliseconds, DateTimeOffset? At, bool SharedAhead = false);
