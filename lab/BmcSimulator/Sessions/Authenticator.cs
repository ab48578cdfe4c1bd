using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Evacuator.Lab.BmcSimulator.Sessions;

/// <summary>Who may ask: the one account, by session token or by Basic.</summary>
internal sealed class Authenticator(string user, Func<string> password, SessionTable sessions)
{
    /// <summary>The session is null for Basic.</summary>
    public readonly record struct Answer(bool Accepted, Session? Session);

    public bool Knows(string? givenUser, string? givenPassword) =>
        givenUser == user && givenPassword is not null
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(givenPassword), Encoding.UTF8.GetBytes(password()));

    public Answer Check(HttpRequest request)
    {
        string? token = request.Headers["X-Auth-Token"];
        if (!string.IsNullOrEmpty(token))
        {
            Session? session = sessions.FindByToken(token);
            return new Answer(session is not null, session);
        }

        return new Answer(CheckBasic(request.Headers.Authorization), null);
    }

    private bool CheckBasic(string? header)
    {
        const string scheme = "Basic ";
        if (header is null || !header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        Span<byte> buffer = new byte[header.Length];
        if (!Convert.TryFromBase64String(header[scheme.Length..].Trim(), buffer, out int length))
        {
            return false;
        }

        string[] parts = Encoding.UTF8.GetString(buffer[..length]).Split(':', 2);
        return parts.Length == 2 && Knows(parts[0], parts[1]);
    }
}
