using Evacuator.Bench;
using Evacuator.Bench.Rack;

// What bench.sh measures of the memory engine, and the process that the tests kill in the middle of its work.
return args switch
{
    ["attach-loop", var pid, .. var rest] => AttachLoop.Run(int.Parse(pid), rest is [var count] ? int.Parse(count) : int.MaxValue),
    ["rounds", var pid, var count] => await Rounds.RunAsync(int.Parse(pid), int.Parse(count)),
    ["charts", var file] => RackCommand.Draw(file),
    ["wire"] => await EngineBench.PrintAsync("wire", EngineBench.WireAsync),
    ["fill"] => await EngineBench.PrintAsync("fill", EngineBench.FillAsync),
    ["memory", var mebibytes, var rate] => await MemoryBench.RunAsync(int.Parse(mebibytes), int.Parse(rate)),
    ["check", .. var options] => RackCommand.Check(options),
    ["rack", .. var rest] => await RackCommand.RunAsync(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine($"usage: {RackCommand.Usage} | Bench memory MIB MIB_PER_SECOND | charts BENCH_JSON | wire | fill | rounds PID COUNT | attach-loop PID [COUNT]");
    return 2;
}
