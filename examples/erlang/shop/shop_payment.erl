%% Charges cards. A card's number that is none ends it: that is its
%% supervisor's business.
-module(shop_payment).
-behaviour(gen_server).

-export([start_link/0, charge/3]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

charge(Worker, Id, Card) -> gen_server:cast(Worker, {charge, Id, Card}).

init([]) ->
    shop_orders:ready(self()),
    {ok, []}.

handle_call(_, _, S) -> {reply, unknown, S}.

handle_cast({charge, Id, Card}, S) ->
    shop_orders:paid(self(), Id, receipt(Card)),
    {noreply, S}.

receipt(Card) -> binary_to_integer(Card) rem 1000000.
