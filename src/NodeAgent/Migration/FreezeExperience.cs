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

    /// <summary>Of freezes in which all memory travels; apart, for they teach nothing about those with the engine.</summary>
    public FreezeModel WholeModel
    {
        get
        {
            lock (_lock)
                return _kept.Whole ?? FreezeModel.Initial;
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
        {
            _kept = sample.Shape.Whole ? _kept with { Whole = WholeModelNeedsLock.Learn(sample) } : _kept with { Model = _kept.Model.Learn(sample) };
            // A whole memory's restore says nothing of how long others take.
            if (resume is { } took && !sample.Shape.Whole)
                _kept = _kept with { ResumeMilliseconds = _kept.ResumeMilliseconds + Weight * (took - _kept.ResumeMilliseconds) };
        }
        Write();
    }

    /// <summary>
    /// A container was not frozen because of what is believed here, and nothing is learned from a freeze that did not happen: the belief moves
    /// back a little, so that one bad hour does not keep containers from moving for ever.
    /// </summary>
    /// <param name="whole">all of its memory would have travelled</param>
    public void Doubt(bool whole = false)
    {
        lock (_lock)
            _kept = whole ? _kept with { Whole = Doubt(WholeModelNeedsLock) } : _kept with { Model = Doubt(_kept.Model) };
        Write();
    }

    private FreezeModel WholeModelNeedsLock => _kept.Whole ?? FreezeModel.Initial;

    private static FreezeModel Doubt(FreezeModel model) => model with
    {
        Scale = model.Scale + Weight * Math.Min(0, FreezeModel.Initial.Scale - model.Scale),
        Spread = model.Spread + Weight * Math.Min(0, FreezeModel.Initial.Spread - model.Spread),
    };

    private static Kept? Read(string? file)
    {
        try
        {
            return file is not null && JsonSerializer.Deserialize<Kept>(File.ReadAllBytes(file)) is { Model.IsSane: true, ResumeMilliseconds: >= 0 and < 60_000, Whole: null or { IsSane: true } } kept ? kept : null;
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

    private sealed record Kept(FreezeModel Model, double ResumeMilliseconds, FreezeModel? Whole = null);
}
