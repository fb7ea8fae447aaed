%% What the tracer costs: orders of the shop, one after another and by several
%% customers at once, untraced and traced.
-module(shop_load).
-export([run/0]).

-define(SECONDS, 5).

run() ->
    {ok, _} = application:ensure_all_started(shop),
    _ = measure(1, 0, 1),
    Cases = [{"20 customers, 20 ms between orders", 20, 20}, {"20 customers, 10 ms between orders", 20, 10},
             {"20 customers, 5 ms between orders", 20, 5}, {"20 customers at full speed", 20, 0}],
    Plain = [measure(C) || C <- Cases],
    Scope = os:getenv("SCOPE_EVENTS", "http://localhost:4319"),
    {ok, _} = scope_tracer:start(#{endpoint => Scope, service => <<"shop-load">>,
        modules => [shop, shop_orders, shop_payment], print => list_to_integer(os:getenv("PRINT", "20"))}),
    ok = scope_tracer:trace(shop_sup),
    ok = scope_tracer:trace(new),
    Traced = [{measure(C), flushed()} || C <- Cases],
    [io:format("~-36s ~8b orders/s of ~6.1f us; traced ~8b of ~6.1f us, ~0p~n", [Name, N, T, N2, T2, S])
        || {{Name, _, _}, {N, T}, {{N2, T2}, S}} <- lists:zip3(Cases, Plain, Traced)],
    halt(0).

flushed() ->
    {Time, ok} = timer:tc(fun scope_tracer:flush/0),
    maps:put(flush_ms, Time div 1000, scope_tracer:stats()).

measure({_, Customers, Pause}) -> measure(Customers, Pause, ?SECONDS).

measure(Customers, Pause, Seconds) ->
    End = erlang:monotonic_time(millisecond) + 1000 * Seconds,
    Started = [spawn_monitor(fun() -> exit({shutdown, orders(C, Pause, End, 0, 0)}) end) || C <- lists:seq(1, Customers)],
    {N, Time} = lists:foldl(fun({P, M}, {N, T}) ->
        receive {'DOWN', M, process, P, {shutdown, {N1, T1}}} -> {N + N1, T + T1} end end, {0, 0}, Started),
    {N div Seconds, Time / N}.

orders(Customer, Pause, End, N, Time) ->
    case erlang:monotonic_time(millisecond) < End of
        true ->
            {T, {ok, _}} = timer:tc(fun() -> shop:order({Customer, N}, [<<"4000000000000010">>]) end),
            Pause =:= 0 orelse timer:sleep(Pause),
            orders(Customer, Pause, End, N + 1, Time + T);
        false ->
            {N, Time}
    end.
