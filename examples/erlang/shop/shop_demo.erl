%% What run.sh runs: the shop under the tracer, one good order, and one whose
%% first card is misread.
-module(shop_demo).
-export([run/0]).

run() ->
    Scope = os:getenv("SCOPE_EVENTS", "http://localhost:4319"),
    {ok, _} = scope_tracer:start(#{endpoint => Scope, service => <<"shop">>,
        modules => [shop, shop_orders, shop_payment]}),
    ok = scope_tracer:trace(new),
    {ok, _} = application:ensure_all_started(shop),
    {ok, _} = customer(<<"order-1">>, [<<"4000000000000002">>]),
    {ok, _} = customer(<<"order-2">>, [<<"40000000000OOO02">>, <<"4000000000000010">>]),
    ok = scope_tracer:flush(),
    io:format("~0p~n", [scope_tracer:stats()]),
    halt(0).

%% Each customer is a process.
customer(Id, Cards) ->
    {Customer, Ref} = spawn_monitor(fun() -> exit({shutdown, shop:order(Id, Cards)}) end),
    receive
        {'DOWN', Ref, process, Customer, {shutdown, Answer}} ->
            io:format("~ts: ~0p, customer ~p~n", [Id, Answer, Customer]),
            Answer
    end.
