namespace Evacuator.Testing;

/// <summary>A test that needs root and the kernel's migration features; skipped with the reason where they are missing.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = Prerequisites.WhyNoRoot;
}

/// <summary>Like <see cref="RootFactAttribute"/>, with data rows.</summary>
public sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = Prerequisites.WhyNoRoot;
}

/// <summary>A test that reads the real Redfish data beside the project (../shared/redfish); skipped where it is absent.</summary>
public sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute() => Skip = Prerequisites.WhyNoSharedData;
}

/// <summary>Like <see cref="SharedDataFactAttribute"/>, with data rows.</summary>
public sealed class SharedDataTheoryAttribute : TheoryAttribute
{
    public SharedDataTheoryAttribute() => Skip = Prerequisites.WhyNoSharedData;
}

/// <summary>A test that needs the lab's nodes (several systemd hosts on this machine); skipped without root or where test.sh could not start it.</summary>
public sealed class LabFactAttribute : FactAttribute
{
    public LabFactAttribute() => Skip = Prerequisites.WhyNoLab;
}

/// <summary>Like <see cref="LabFactAttribute"/>, for faults that take long: only with EVACUATOR_ALL_FAULTS=1.</summary>
public sealed class LongLabFactAttribute : FactAttribute
{
    public LongLabFactAttribute() =>
        Skip = Prerequisites.WhyNoLab ?? (Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1" ? null : "takes long: EVACUATOR_ALL_FAULTS=1");
}

/// <summary>Like <see cref="LabTheoryAttribute"/>, for faults that take long: only with EVACUATOR_ALL_FAULTS=1.</summary>
public sealed class LongLabTheoryAttribute : TheoryAttribute
{
    public LongLabTheoryAttribute() =>
        Skip = Prerequisites.WhyNoLab ?? (Environment.GetEnvironmentVariable("EVACUATOR_ALL_FAULTS") == "1" ? null : "takes long: EVACUATOR_ALL_FAULTS=1");
}

/// <summary>Like <see cref="LabFactAttribute"/>, with data rows.</summary>
public sealed class LabTheoryAttribute : TheoryAttribute
{
    public LabTheoryAttribute() => Skip = Prerequisites.WhyNoLab;
}

/// <summary>A test with a real etcd; skipped with the reason where it was not unpacked.</summary>
public sealed class EtcdFactAttribute : FactAttribute
{
    public EtcdFactAttribute() => Skip = EtcdServer.WhyNone;
}
