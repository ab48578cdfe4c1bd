using System.Text.Json;
using System.Text.Json.Serialization;

namespace Evacuator.Common.AgentApi;

/// <summary>Enums travel as kebab-case words; an unknown word is an error of the sender, never a silent zero.</summary>
public sealed class KebabCaseEnumConverter<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.KebabCaseLower, allowIntegerValues: false)
    where T : struct, Enum;
