namespace Evacuator.Fleet.Etcd;

/// <summary>How etcd was found last.</summary>
/// <param name="Answers">the last call that ended was answered</param>
/// <param name="Problem">why not; empty when it answers</param>
/// <param name="Since">of this kind of answer</param>
/// <param name="LastAnswer">null: never so far</param>
internal sealed record EtcdStanding(bool Answers, string Problem, DateTimeOffset Since, DateTimeOffset? LastAnswer);
