-module(door).
-behaviour(gen_statem).
-export([init/1, callback_mode/0, open/3, shut/3]).

callback_mode() -> [state_functions].
init([]) -> {ok, shut, 0}.

shut({call, From}, push, N) -> {next_state, open, N + 1, [{reply, From, N}, {state_timeout, 1, close}]}.

open(cast, look, _) -> keep_state_and_data;
open(state_timeout, close, N) -> {next_state, shut, N}.
