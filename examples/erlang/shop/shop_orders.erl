%% Keeps the orders until they are paid. A payment worker says when it is ready;
%% one that ends while it charges a card has its order back in the queue, with
%% the next card.
-module(shop_orders).
-behaviour(gen_server).

-export([start_link/0, ready/1, paid/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(order, {id, cards, from}).
-record(state, {queue = [], idle = [], working = #{}}). % working: monitor => {worker, order}

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

ready(Worker) -> gen_server:cast(?MODULE, {ready, Worker}).

paid(Worker, Id, Receipt) -> gen_server:cast(?MODULE, {paid, Worker, Id, Receipt}).

init([]) -> {ok, #state{}}.

handle_call({order, Id, Cards}, From, S) ->
    {noreply, assign(S#state{queue = S#state.queue ++ [#order{id = Id, cards = Cards, from = From}]})}.

handle_cast({ready, Worker}, S) ->
    {noreply, assign(S#state{idle = S#state.idle ++ [{Worker, monitor(process, Worker)}]})};
handle_cast({paid, Worker, Id, Receipt}, S = #state{working = Working}) ->
    [Monitor] = [M || {M, {W, _}} <- maps:to_list(Working), W =:= Worker],
    {{Worker, #order{id = Id, from = From}}, Others} = maps:take(Monitor, Working),
    gen_server:reply(From, {ok, Receipt}),
    {noreply, assign(S#state{working = Others, idle = S#state.idle ++ [{Worker, Monitor}]})}.

handle_info({'DOWN', Monitor, process, Worker, _}, S = #state{working = Working}) ->
    case maps:take(Monitor, Working) of
        {{Worker, Order = #order{cards = [_ | Cards]}}, Others} ->
            {noreply, assign(S#state{queue = [Order#order{cards = Cards} | S#state.queue], working = Others})};
        error ->
            {noreply, S#state{idle = lists:keydelete(Worker, 1, S#state.idle)}}
    end.

assign(S = #state{queue = [#order{cards = [], from = From} | Queue]}) ->
    gen_server:reply(From, {error, no_card}),
    assign(S#state{queue = Queue});
assign(S = #state{queue = [Order | Queue], idle = [{Worker, Monitor} | Idle], working = Working}) ->
    shop_payment:charge(Worker, Order#order.id, hd(Order#order.cards)),
    assign(S#state{queue = Queue, idle = Idle, working = Working#{Monitor => {Worker, Order}}});
assign(S) ->
    S.
