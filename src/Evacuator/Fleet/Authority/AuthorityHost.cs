using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Evacuator.Common.AgentApi;
using Evacuator.Common.Configuration;
using Evacuator.Common.Fleet;
using Evacuator.Common.Hosting;
using Evacuator.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Evacuator.Fleet.Authority;

/// <summary>What evacuator-authority.service is built from.</summary>
/// <param name="Listen">null: on all addresses</param>
/// <param name="Tell">called with each new list, so that the fleet hears of it at once; it may fail, nodes ask by themselves as well</param>
internal sealed record AuthoritySetup(string Directory, EvacuatorOptions Options, IPAddress? Listen, Func<string, CancellationToken, Task> Tell, Action<ILoggingBuilder>? Logging = null);

/// <summary>
/// evacuator-authority.service: the only process that reads the authority's key, on one node of the fleet. It signs for nodes that show a token or a good
/// certificate, and gives the list to whoever may have it; it does nothing else.
/// </summary>
internal static partial class AuthorityHost
{
    public static WebApplication Build(AuthoritySetup setup, TimeProvider? clock = null)
    {
        WebApplicationBuilder builder = ServiceHosting.CreateBuilder();
        builder.AddServiceHosting(setup.Options);
        setup.Logging?.Invoke(builder.Logging);
        TimeProvider time = clock ?? TimeProvider.System;
        OwnCertificate own = new(setup.Directory, setup.Options.Node.Name, time);
        builder.Services.AddSingleton(time);
        builder.Services.AddSingleton(setup);
        builder.Services.AddSingleton(own);
        builder.Services.AddSingleton(new Registrar(setup.Directory, time));
        builder.Services.AddSingleton(new JoinGuard(time));
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.RespectRequiredConstructorParameters = true);
        builder.Services.Configure<Microsoft.AspNetCore.Routing.RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = AuthorityRoutes.MaxBody;
            kestrel.Limits.MaxConcurrentConnections = 64;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            if (setup.Listen is { } address)
                kestrel.Listen(address, setup.Options.Fleet.AuthorityPort, Secure);
            else
                kestrel.ListenAnyIP(setup.Options.Fleet.AuthorityPort, Secure);
        });
        WebApplication app = builder.Build();
        app.UseMistakeExplanation();
        app.MapGet(AuthorityRoutes.Introduction, (OwnCertificate known) => Json(new Introduction(known.Current().AnchorPem, time.GetUtcNow())));
        app.MapPost(AuthorityRoutes.Join, JoinAsync);
        app.MapPost(AuthorityRoutes.Renew, Renew);
        app.MapPost(AuthorityRoutes.Leave, LeaveAsync);
        app.MapGet(AuthorityRoutes.Roster, (HttpContext context, Registrar registrar, OwnCertificate known) =>
            known.Judge(context) is { Refusal: { } refusal } ? Refuse(StatusCodes.Status401Unauthorized, refusal) : Results.Text(registrar.RosterText(), "application/json"));
        return app;

        void Secure(ListenOptions listen)
        {
            listen.Protocols = HttpProtocols.Http1;
            listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(AuthorityTls.ForServer(own.Current().Tls, own.Current().Trusted, time)) });
        }
    }

    private static async Task<IResult> JoinAsync(HttpContext context, JoinRequest request, Registrar registrar, JoinGuard guard, AuthoritySetup setup, ILogger<Registrar> log)
    {
        IPAddress? address = context.Connection.RemoteIpAddress;
        if (guard.Waits(address) is { } wait)
            return Refuse(StatusCodes.Status429TooManyRequests, $"too many wrong tokens came from {address}: try again in {Duration.Format(TimeSpan.FromSeconds(Math.Ceiling(wait.TotalSeconds)))}");
        try
        {
            JoinReply reply = registrar.Join(request);
            LogJoined(log, request.Node, request.Address, address, request.Token);
            await setup.Tell(reply.Roster, context.RequestAborted).ConfigureAwait(false);
            return Json(reply);
        }
        catch (RegistrarException e)
        {
            if (e.WasWrongToken)
                guard.Failed(address);
            LogRefused(log, "join", address, e.Message);
            return Refuse(StatusCodes.Status403Forbidden, e.Message);
        }
    }

    private static IResult Renew(HttpContext context, RenewRequest request, Registrar registrar, OwnCertificate own, ILogger<Registrar> log)
    {
        if (own.Judge(context) is not { Identity: { } identity, NotBefore: var notBefore })
            return RefuseCaller(context, own, "renew", log);
        try
        {
            RenewReply reply = registrar.Renew(identity, notBefore, request.Request);
            LogRenewed(log, identity);
            return Json(reply);
        }
        catch (RegistrarException e)
        {
            LogRefused(log, "renew", context.Connection.RemoteIpAddress, e.Message);
            return Refuse(StatusCodes.Status403Forbidden, e.Message);
        }
    }

    private static async Task<IResult> LeaveAsync(HttpContext context, Registrar registrar, OwnCertificate own, AuthoritySetup setup, ILogger<Registrar> log)
    {
        if (own.Judge(context) is not { Identity: { } identity, NotBefore: var notBefore })
            return RefuseCaller(context, own, "leave", log);
        // A brain that was taken over is not to take its node out: leaving is for root there.
        if (identity.Role != FleetRole.Agent)
            return Refuse(StatusCodes.Status403Forbidden, $"{identity} may not do this, the agent's certificate may");
        try
        {
            LeaveReply reply = registrar.Leave(identity, notBefore);
            LogLeft(log, identity.Node);
            await setup.Tell(reply.Roster, context.RequestAborted).ConfigureAwait(false);
            return Json(reply);
        }
        catch (RegistrarException e)
        {
            LogRefused(log, "leave", context.Connection.RemoteIpAddress, e.Message);
            return Refuse(StatusCodes.Status403Forbidden, e.Message);
        }
    }

    private static IResult RefuseCaller(HttpContext context, OwnCertificate own, string what, ILogger<Registrar> log)
    {
        string refusal = own.Judge(context).Refusal!;
        LogRefused(log, what, context.Connection.RemoteIpAddress, refusal);
        return Refuse(StatusCodes.Status401Unauthorized, refusal);
    }

    private static IResult Json<T>(T value) => Results.Json(value, ApiJson.Options);

    private static IResult Refuse(int status, string text) => Results.Json(new ErrorReply(text), ApiJson.Options, statusCode: status);

    [LoggerMessage(EventId = 410, Level = LogLevel.Information, Message = "{Node} ({NodeAddress}) joined from {Address} with token {Token}")]
    private static partial void LogJoined(ILogger logger, string node, string nodeAddress, IPAddress? address, string token);

    [LoggerMessage(EventId = 411, Level = LogLevel.Warning, Message = "{What} refused to {Address}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string what, IPAddress? address, string reason);

    [LoggerMessage(EventId = 412, Level = LogLevel.Information, Message = "the certificate of {Identity} was renewed")]
    private static partial void LogRenewed(ILogger logger, PeerIdentity identity);

    [LoggerMessage(EventId = 413, Level = LogLevel.Warning, Message = "{Node} has left the fleet, its certificates are void")]
    private static partial void LogLeft(ILogger logger, string node);
}
