-module(gate).
-behaviour(gen_statem).
-export([init/1, callback_mode/0, handle_event/4]).

callback_mode() -> handle_event_function.
init([]) -> {ok, {shut, 1}, none}.

handle_event({call, From}, push, {shut, N}, none) -> {next_state, {open, N}, none, [{reply, From, ok}]};
handle_event(info, pull, {open, N}, none) -> {next_state, {shut, N + 1}, none}.
