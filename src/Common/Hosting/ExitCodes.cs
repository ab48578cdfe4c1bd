namespace Evacuator.Common.Hosting;

/// <summary>Exit codes of the services, from sysexits.h where it has one.</summary>
public static class ExitCodes
{
    public const int Success = 0;

    /// <summary>Something failed while running; systemd starts the service again.</summary>
    public const int Failure = 1;

    /// <summary>EX_CONFIG: the configuration is wrong. The units have RestartPreventExitStatus=78: starting again would not help.</summary>
    public const int Configuration = 78;
}
