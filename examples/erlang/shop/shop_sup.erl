-module(shop_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 10, period => 1}, [
        #{id => orders, start => {shop_orders, start_link, []}},
        #{id => payment, start => {shop_payment, start_link, []}}
    ]}}.
