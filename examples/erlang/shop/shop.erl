%% A shop: orders come in, and cards are charged for them.
-module(shop).
-behaviour(application).

-export([order/2]).
-export([start/2, stop/1]).

%% Waits until one of the cards was charged, or none is left.
-spec order(term(), [binary()]) -> {ok, integer()} | {error, no_card}.
order(Id, Cards) -> gen_server:call(shop_orders, {order, Id, Cards}).

start(_, _) -> shop_sup:start_link().

stop(_) -> ok.
