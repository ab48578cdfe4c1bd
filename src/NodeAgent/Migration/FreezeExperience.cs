using System.Text.Json;
using Evacuator.NodeAgent.Memory.Convergence;

namespace Evacuator.NodeAgent.Migration;

/// <summary>
/// What this host has learned from its freezes, kept in its state directory: how long the next will be, and how much of it comes after the
/// release, where it cannot be called off any more. A file that is missing, cannot be read or cannot be right is the same as none.
/// </summary>
/// <param name="file">null: kept in memory only</param>
internal sealed class FreezeExperience(string? file)
{
    private const double Weight = 0.2;
    private readonly Lock _lock = new();
    private Kept _kept = Read(file) ?? new Kept(FreezeModel.Initial, ResumeMilliseconds: 80);

    public FreezeModel Model
    {
        get
        {
            lock (_lock)
                return _kept.Model;
        }
    }

    /// <summary>How long a container may stand still before its release, so that the whole freeze fits its budget: the rest is the destination's.</summary>
    public TimeSpan BeforeRelease(TimeSpan budget)
    {
        lock (_lock)
            return budget - TimeSpan.FromMilliseconds(Math.Min(_kept.ResumeMilliseconds, budget.TotalMilliseconds / 2));
    }

    /// <param name="resume">milliseconds after the release; null for a freeze that did not get that far</param>
    public void Learn(FreezeSample sample, double? resume)
    {
        lock (_lock)
            _kept = new Kept(_kept.Model.Learn(sample), resume is { } took ? _kept.ResumeMilliseconds + Weight * (took - _kept.ResumeMilliseconds) : _kept.ResumeMilliseconds);
        Write();
    }

    /// <summary>
    /// A container was not frozen because of what is believed here, and nothing is learned from a freeze that did not happen: the belief moves
    /// back a little, so that one bad hour does not keep containers from moving for ever.
    /// </summary>
    public void Doubt()
    {
        lock (_lock)
        {
            FreezeModel model = _kept.Model, initial = FreezeModel.Initial;
            _kept = _kept with
            {
                Model = model with { Scale = model.Scale + Weight * Math.Min(0, initial.Scale - model.Scale), Spread = model.Spread + Weight * Math.Min(0, initial.Spread - model.Spread) },
            };
        }
        Write();
    }

    private static Kept? Read(string? file)
    {
        try
        {
            return file is not null && JsonSerializer.Deserialize<Kept>(File.ReadAllBytes(file)) is { Model.IsSane: true, ResumeMilliseconds: >= 0 and < 60_000 } kept ? kept : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    private void Write()
    {
        if (file is null)
            return;
        try
        {
            lock (_lock)
            {
                File.WriteAllBytes(file + ".new", JsonSerializer.SerializeToUtf8Bytes(_kept));
                File.Move(file + ".new", file, overwrite: true);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The disk may be the reason for leaving; what is learned lasts as long as the agent then.
        }
    }

    private sealed record Kept(FreezeModel Model, double ResumeMilliseconds);
}
