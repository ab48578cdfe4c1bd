using System.Net.Sockets;

namespace Evacuator.Redfish.Session;

// Turns statuses and exceptions into causes and texts; nothing else in the library looks at exceptions of the network.
internal sealed partial class BmcTransport
{
    private static BmcExchange Judge(BmcRequest request, Uri uri, BmcExchange arrived, byte[] body)
    {
        if (arrived.IsSuccessStatus)
            return arrived with { Body = body };
        ErrorBody details = ErrorBody.Parse(body);
        BmcError error = arrived.Status switch
        {
            401 => BmcError.CredentialsRefused,
            403 => BmcError.Forbidden,
            404 or 410 => BmcError.NotFound,
            405 or 501 => BmcError.NotSupported,
            408 => BmcError.Timeout,
            409 => BmcError.Conflict,
            412 or 428 => BmcError.PreconditionFailed,
            413 => BmcError.TooLarge,
            429 or 503 => BmcError.Overloaded,
            >= 500 and < 600 => BmcError.ServerFailed,
            >= 400 and < 500 => BmcError.Rejected,
            _ => BmcError.Malformed,
        };
        // The message says more than the status: iDRAC answers RAC0218 by 503 and by 400, others by 403.
        if (details.Has("PasswordChangeRequired"))
            error = BmcError.PasswordChangeRequired;
        else if (details.Has("SessionLimitExceeded", "RAC0218", "CreateLimitReachedForResource") && request.Method == HttpMethod.Post)
            error = BmcError.SessionTableFull;
        else if (error == BmcError.Forbidden && details.Has("NoValidSession", "SessionTerminated"))
            error = BmcError.CredentialsRefused;
        return arrived with
        {
            Error = error,
            Body = body,
            MessageKey = details.MessageKeys.Count > 0 ? details.MessageKeys[^1] : null,
            Details = details,
            Message = $"{request.Method} {uri} answered {arrived.Status}{(details.Text.Length > 0 ? $": {details.Text}" : "")}{Advice(error)}",
        };
    }

    private (BmcError Error, string Message) Classify(Exception e, bool timedOut, BmcRequest request, Uri uri)
    {
        string what = $"{request.Method} {uri}";
        if (e is OperationCanceledException && timedOut)
            return (BmcError.Timeout, $"{what} was not answered within {_options.Timeouts.Request.TotalSeconds:0} s");
        if (Find<BodyTooLargeException>(e) is { } large)
            return (BmcError.TooLarge, $"{what}: {large.Message}");
        if (e is OperationCanceledException)
            return (BmcError.Unreachable, $"{_origin.Authority} did not accept a connection within {_options.Timeouts.Connect.TotalSeconds:0} s: check address, cable and firewall");
        HttpRequestError kind = (e as HttpRequestException)?.HttpRequestError ?? (e as HttpIOException)?.HttpRequestError ?? HttpRequestError.Unknown;
        switch (kind)
        {
            case HttpRequestError.NameResolutionError:
                return (BmcError.Unreachable, $"the name {_origin.Host} is not known: {e.Message}");
            case HttpRequestError.SecureConnectionError when _check?.Last is { Error: not BmcError.None } verdict:
                return (verdict.Error, $"{_origin.Authority}: {verdict.Message}");
            case HttpRequestError.SecureConnectionError:
                return (BmcError.TlsFailed, $"{_origin.Authority} does not shake hands by TLS: {e.InnerException?.Message ?? e.Message} (an old BMC may offer only ciphers that this system's OpenSSL refuses)");
            case HttpRequestError.ConnectionError:
                return (BmcError.Unreachable, $"{_origin.Authority} is not reachable: {Find<SocketException>(e)?.Message ?? e.Message}");
            case HttpRequestError.ResponseEnded:
                return (BmcError.Unreachable, $"{what}: the BMC closed the connection in the middle of its answer");
            case HttpRequestError.ConfigurationLimitExceeded:
                return (BmcError.TooLarge, $"{what}: the headers are larger than 64 KiB");
            case HttpRequestError.InvalidResponse:
                return (BmcError.Malformed, $"{what}: the answer is not HTTP: {e.Message}");
        }
        if (e is InvalidDataException)
            return (BmcError.Malformed, $"{what}: the compressed body is damaged");
        if (Find<SocketException>(e) is { } socket)
            return (BmcError.Unreachable, $"{what}: the connection broke: {socket.Message}");
        return e is HttpRequestException or IOException
            ? (BmcError.Unreachable, $"{what}: {e.Message}")
            : (BmcError.Malformed, $"{what}: {e.GetType().Name}: {e.Message}");
    }

    private static string Advice(BmcError error) => error switch
    {
        BmcError.PasswordChangeRequired => "; log in to the BMC by hand and set a new password for this account",
        BmcError.SessionTableFull => "; the BMC has no free session: close sessions there or wait for them to time out",
        BmcError.Forbidden => "; the account needs role Operator, or the BMC a licence",
        _ => "",
    };

    private static T? Find<T>(Exception? e) where T : Exception
    {
        for (; e is not null; e = e.InnerException)
            if (e is T found)
                return found;
        return null;
    }
}
