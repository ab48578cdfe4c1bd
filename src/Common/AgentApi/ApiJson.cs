using System.Text.Json;

namespace Evacuator.Common.AgentApi;

/// <summary>The one JSON dialect of all interfaces: camelCase, enums in kebab case by their converters, nothing left out by accident.</summary>
public static class ApiJson
{
    public static JsonSerializerOptions Options { get; } = new(JsonSerializerDefaults.Web) { RespectRequiredConstructorParameters = true };

    /// <summary>For what another node says: a null where there must be something is a mistake of its, and not to be found by whoever stumbles over it.</summary>
    public static JsonSerializerOptions OfOthers { get; } = new(Options) { RespectNullableAnnotations = true };

    public static JsonSerializerOptions Indented { get; } = new(Options) { WriteIndented = true };
}
