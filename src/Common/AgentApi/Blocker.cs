using System.Text.Json.Serialization;

namespace Evacuator.Common.AgentApi;

/// <summary>Why a container cannot move, or cannot move there. The names are part of the JSON interface (kebab case) and are never reused.</summary>
[JsonConverter(typeof(KebabCaseEnumConverter<BlockerCode>))]
public enum BlockerCode
{
    None = 0,
    NotEnoughMemory = 1,
    NotEnoughDisk = 2,
    NameTaken = 3,
    AddressTaken = 4,
    PathTaken = 5,
    BridgeMissing = 6,
    KernelTooOld = 7,
    CriuMissing = 8,
    CriuTooOld = 9,
    RuncMissing = 10,
    FeatureMissing = 11,
    CpuFeatures = 12,
    AdmissionClosed = 13,
    NetworkNotExternal = 14,
    HostNetwork = 15,
    UnsupportedMount = 16,
    UnsupportedDevice = 17,
    IoUring = 18,
    ExternalSocket = 19,
    NestedNamespace = 20,
    Traced = 21,
    NotRunning = 22,
    PolicyStay = 23,
    NoPeer = 24,
    PeerUnreachable = 25,
    PeerVersion = 26,
    Reserved = 27,
    UnsupportedRuntime = 28,
    Unreadable = 29,
    SpreadRule = 30,
    GroupRule = 31,
    ZoneRule = 32,
    PeerDegraded = 33,
    PeerWindow = 34,
    DeadlineOver = 35,
}

/// <summary>One reason against a move, in words for the person who has to act on it.</summary>
/// <param name="Code">stable code</param>
/// <param name="Text">what is wrong, where, and what to do</param>
public sealed record Blocker(BlockerCode Code, string Text);
