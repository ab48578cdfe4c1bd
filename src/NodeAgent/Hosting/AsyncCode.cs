using System.Reflection;
using System.Runtime.CompilerServices;

namespace Evacuator.NodeAgent.Hosting;

/// <summary>
/// Compiles, while nobody waits, what the runtime needs around each async method when it first runs. The package's code is compiled ahead of time, but the runtime's own
/// generic types, made for a state machine of ours, cannot be, and are compiled one by one: with what else was met first there, some 500 methods at the two ends and 60 ms of processor time
/// inside of the first freeze after a start (JitInfo; some 140 are left). An agent runs for months before it has to move anything, so the first is the one that counts.
/// </summary>
/// <remarks>The names are the runtime's own and private. What is not found under them is compiled when it is needed, as without this.</remarks>
internal static class AsyncCode
{
    private const BindingFlags All = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private static readonly Type? s_core = typeof(AsyncTaskMethodBuilder).Assembly.GetType("System.Runtime.CompilerServices.AsyncMethodBuilderCore");
    private static readonly Type? s_nothing = typeof(AsyncTaskMethodBuilder).Assembly.GetType("System.Threading.Tasks.VoidTaskResult");

    /// <summary>All async methods of a program, but for those of generic types and generic ones.</summary>
    /// <returns>how many</returns>
    public static int Prepare(Assembly program, CancellationToken cancel)
    {
        int prepared = 0;
        foreach (Type machine in program.GetTypes().Where(type => typeof(IAsyncStateMachine).IsAssignableFrom(type) && !type.ContainsGenericParameters))
        {
            if (cancel.IsCancellationRequested)
                break;
            Prepare(machine);
            prepared++;
        }
        return prepared;
    }

    internal static void Prepare(Type machine)
    {
        FieldInfo[] fields = machine.GetFields(All);
        if (fields.FirstOrDefault(field => IsBuilder(field.FieldType))?.FieldType is not { } builder)
            return;
        Type[] awaiters = [.. fields.Where(field => typeof(ICriticalNotifyCompletion).IsAssignableFrom(field.FieldType)).Select(field => field.FieldType)];
        PrepareAll(s_core, "Start", machine);
        PrepareAll(builder, "Start", machine);
        // The builder of a task without a result does all its work by that of one with an empty result.
        Type? working = builder == typeof(AsyncTaskMethodBuilder) && s_nothing is not null ? typeof(AsyncTaskMethodBuilder<>).MakeGenericType(s_nothing)
            : builder == typeof(AsyncValueTaskMethodBuilder) && s_nothing is not null ? typeof(AsyncTaskMethodBuilder<>).MakeGenericType(s_nothing)
            : builder.IsGenericType && builder.GetGenericTypeDefinition() == typeof(AsyncValueTaskMethodBuilder<>) ? typeof(AsyncTaskMethodBuilder<>).MakeGenericType(builder.GetGenericArguments())
            : builder.IsGenericType && builder.GetGenericTypeDefinition() == typeof(AsyncTaskMethodBuilder<>) ? builder
            : null;
        foreach (Type awaiter in awaiters.Distinct())
        {
            PrepareAll(builder, "AwaitUnsafeOnCompleted", awaiter, machine);
            if (working is not null && working != builder)
                PrepareAll(working, "AwaitUnsafeOnCompleted", awaiter, machine);
        }
        if (working is null)
            return;
        PrepareAll(working, "GetStateMachineBox", machine);
        if (working.GetNestedType("AsyncStateMachineBox`1", BindingFlags.NonPublic) is not { } box)
            return;
        Type made = box.MakeGenericType([.. working.GetGenericArguments(), machine]);
        RuntimeHelpers.RunClassConstructor(made.TypeHandle);
        foreach (MethodBase method in made.GetMethods(All).Cast<MethodBase>().Concat(made.GetConstructors(All & ~BindingFlags.Static)))
            Prepare(method);
    }

    private static bool IsBuilder(Type type)
    {
        Type shape = type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        return shape == typeof(AsyncTaskMethodBuilder) || shape == typeof(AsyncTaskMethodBuilder<>) || shape == typeof(AsyncValueTaskMethodBuilder) || shape == typeof(AsyncValueTaskMethodBuilder<>);
    }

    private static void PrepareAll(Type? type, string name, params Type[] arguments)
    {
        foreach (MethodInfo method in type?.GetMethods(All) ?? [])
            if (method.Name == name && method.IsGenericMethodDefinition && method.GetGenericArguments().Length == arguments.Length)
                Prepare(method.MakeGenericMethod(arguments));
    }

    private static void Prepare(MethodBase method)
    {
        if (method.IsAbstract || method.ContainsGenericParameters)
            return;
        RuntimeTypeHandle[] arguments =
        [
            .. method.DeclaringType!.GetGenericArguments().Select(argument => argument.TypeHandle),
            .. method is MethodInfo { IsGenericMethod: true } ? method.GetGenericArguments().Select(argument => argument.TypeHandle) : [],
        ];
        RuntimeHelpers.PrepareMethod(method.MethodHandle, arguments.Length == 0 ? null : arguments);
    }
}
