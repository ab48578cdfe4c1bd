using Microsoft.Win32.SafeHandles;

namespace Evacuator.NodeAgent.Memory.Injection;

/// <summary>How an attempt to get a userfaultfd of another process ended. Everything but the first leaves the process untracked and unharmed.</summary>
internal enum InjectionOutcome
{
    /// <summary>We hold the descriptor, and the target does not.</summary>
    Injected,

    /// <summary>The process ended, or executed another program, while we looked.</summary>
    Gone,

    /// <summary>It did not come to a stop in time (uninterruptible sleep, vfork parent, starved). Try again later.</summary>
    Busy,

    /// <summary>Somebody else traces it: a debugger, strace.</summary>
    Traced,

    /// <summary>We may not trace it.</summary>
    Denied,

    /// <summary>32-bit code, a user shadow stack, or no usable code or stack to borrow.</summary>
    Unsupported,

    /// <summary>userfaultfd(2) itself was refused in the target.</summary>
    Refused,
}

/// <param name="UserFault">The descriptor; the receiver disposes it. Null unless <see cref="InjectionOutcome.Injected"/>.</param>
/// <param name="Stopped">How long one thread of the target stood still for us, over all attempts.</param>
/// <param name="Detail">What to tell an operator.</param>
internal sealed record InjectionResult(InjectionOutcome Outcome, SafeFileHandle? UserFault, TimeSpan Stopped, string Detail);
