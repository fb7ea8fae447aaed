%% Trace messages to events: what the runtime says, in Scope's words. State
%% goes in and out; nothing is sent from here.
%%
%% What the runtime's own processes do, such as those that speak to other
%% nodes, and what is sent to them, is not told: nor what they spawn.
%%
%% Of every process the open calls are kept, so that a return names its call;
%% of the node, who bears a name and for whom an alias stands, since a send
%% may name its receiver so.
-module(scope_event).

-export([new/1, forget/1, named/3, events/2, mark/4]).
-export_type([context/0]).

%% Aliases are kept until this many came after them.
-define(ALIASES, 10000).

-record(context, {
    origin :: iodata(),                             % members that say whose events these are
    prefix :: binary(),                             % of ids
    base :: integer(),                              % of the runtime's counter
    offset :: integer(),                            % from monotonic to system time, ns
    print :: non_neg_integer(),                     % so many subterms of a message; 0: none
    kernel :: #{pid() => []},                       % the runtime's own processes
    processes = #{} :: #{pid() => list()},         % open calls, the innermost first
    names = #{} :: #{atom() => [{integer(), pid()}]}, % since when, the newest first
    aliases = #{} :: #{reference() => pid()},
    older = #{} :: #{reference() => pid()}
}).

%% An open call.
-record(frame, {
    mfa :: mfa(),
    id :: binary(),
    state = none :: none | init | {state, term()},  % of a state machine
    awaits = none :: none | reference(),            % the reply to what the call sent
    taken = none :: none | iodata()                 % members of the receive that it ended with
}).

-opaque context() :: #context{}.

-spec new(map()) -> context().
new(#{service := Service, node := Node, print := Print, kernel := Kernel}) ->
    #context{
        origin = [<<",\"service\":">>, scope_json:string(Service), <<",\"node\":">>, scope_json:string(Node)],
        prefix = <<(string:lowercase(integer_to_binary(erlang:system_time(millisecond), 36)))/binary, "-">>,
        base = erlang:unique_integer([monotonic]),
        offset = erlang:time_offset(nanosecond),
        print = Print,
        kernel = maps:from_keys(Kernel, [])
    }.

%% Forgets the open calls, after trace messages were lost.
-spec forget(context()) -> context().
forget(C) -> C#context{processes = #{}}.

%% Notes that the process bears the name.
-spec named(atom(), pid(), context()) -> context().
named(Name, Pid, C) -> register(Name, Pid, erlang:unique_integer([monotonic]), C).

%% An event of the tracer's own.
-spec mark(binary(), pid(), [{binary(), binary() | integer()}], context()) -> iodata().
mark(Name, Pid, Attributes, C) ->
    At = {erlang:monotonic_time(nanosecond), erlang:unique_integer([monotonic])},
    event(<<"mark">>, Pid, At, <<>>, [name(Name), attributes(Attributes)], C).

%% The events of one trace message, as lines of NDJSON.
-spec events(tuple(), context()) -> {[iodata()], context()}.
events({trace_ts, Pid, exit, _, _}, C = #context{kernel = Kernel}) when is_map_key(Pid, Kernel) ->
    {[], C#context{kernel = maps:remove(Pid, Kernel)}};
events(Trace, C = #context{kernel = Kernel}) when is_map_key(element(2, Trace), Kernel) -> {[], C};
events({trace_ts, Pid, spawned, Parent, _, _}, C = #context{kernel = Kernel}) when is_map_key(Parent, Kernel) ->
    {[], C#context{kernel = Kernel#{Pid => []}}};
events({trace_ts, Pid, call, MFA, At}, C) -> call(Pid, MFA, none, At, C);
events({trace_ts, Pid, call, MFA, Handles, At}, C) -> call(Pid, MFA, Handles, At, C);
events({trace_ts, Pid, return_from, MFA, Value, At}, C) -> return(Pid, MFA, {ok, Value}, At, C);
events({trace_ts, Pid, exception_from, MFA, Failure, At}, C) -> return(Pid, MFA, Failure, At, C);
events({trace_ts, Pid, send, Message, To, At}, C) -> send(Pid, Message, To, [], At, C);
events({trace_ts, Pid, send_to_non_existing_process, Message, To, At}, C) ->
    send(Pid, Message, To, [{<<"erlang.dropped">>, <<"no such process">>}], At, C);
events({trace_ts, Pid, 'receive', Message, At}, C) ->
    case of_the_runtime(Message) of
        true -> {[], C};
        false -> arrived(Pid, Message, At, C)
    end;
events({trace_ts, Pid, spawn, Child, MFA, At}, C) -> {[spawn(Pid, Child, MFA, At, C)], C};
events({trace_ts, Pid, exit, Reason, At}, C) ->
    {[event(<<"exit">>, Pid, At, <<>>, ended(Reason, C), C)], C#context{processes = maps:remove(Pid, C#context.processes)}};
events({trace_ts, Pid, register, Name, {_, N}}, C) -> {[], register(Name, Pid, N, C)};
events(_, C) -> {[], C}.

%% Calls

call(Pid, MFA, Handles, At, C) ->
    Id = id(At, <<>>, C),
    Frame = #frame{mfa = MFA, id = Id, state = state(Handles)},
    Event = event(<<"call">>, Pid, At, <<>>, [name(mfa(MFA)), handled(Handles, C)], C),
    {[Event], stack(Pid, [Frame | stack(Pid, C)], C)}.

state({statem, _, _, State}) -> {state, State};
state(statem_init) -> init;
state(_) -> none.

%% The message that a callback handles, as it lay in the mailbox.
handled({handles, Message}, C) -> message(Message, C);
handled({statem, {call, From}, Content, _}, C) -> message({'$gen_call', From, Content}, C);
handled({statem, cast, Content, _}, C) -> message({'$gen_cast', Content}, C);
handled({statem, info, Content, _}, C) -> message(Content, C);
handled(_, _) -> [].

%% A return closes the call of its function, and what was called in it.
return(Pid, MFA, How, At, C) ->
    {Frame, Below} = case lists:dropwhile(fun(#frame{mfa = F}) -> F =/= MFA end, stack(Pid, C)) of
        [Found | Rest] -> {Found, Rest};
        [] -> {none, stack(Pid, C)}
    end,
    Event = event(<<"return">>, Pid, At, <<>>, [name(mfa(MFA)), call_id(Frame), outcome(How, C)], C),
    {taken(Pid, Frame, At, C) ++ changed(Pid, Frame, How, At, C) ++ [Event], stack(Pid, Below, C)}.

call_id(none) -> [];
call_id(#frame{id = Id}) -> member(<<"call_id">>, Id).

outcome({ok, _}, _) -> [];
outcome({Class, Value}, C) -> failed(atom_to_binary(Class), Value, [], C).

%% The reply, or the news of the server's end, that a waiting call took.
taken(Pid, #frame{taken = Members}, At, C) when Members =/= none ->
    [event(<<"receive">>, Pid, At, <<"t">>, Members, C)];
taken(_, _, _, _) -> [].

changed(Pid, #frame{state = Before, id = Id, mfa = {Machine, _, _}}, {ok, Value}, At, C) when Before =/= none ->
    From = case Before of init -> []; {state, S} -> member(<<"from">>, print(S, C)) end,
    case next(Before, Value) of
        same -> [];
        {to, State} ->
            [event(<<"state">>, Pid, At, <<"s">>, [name(atom_to_binary(Machine)), From,
                member(<<"to">>, print(State, C)), member(<<"trigger">>, Id)], C)]
    end;
changed(_, _, _, _, _) -> [].

next(init, Value) when element(1, Value) =:= ok -> {to, element(2, Value)};
next({state, Same}, Value) when element(1, Value) =:= next_state, element(2, Value) =:= Same -> same;
next({state, _}, Value) when element(1, Value) =:= next_state -> {to, element(2, Value)};
next(_, _) -> same.

%% Messages

send(Pid, Message, To, Attributes, {_, N} = At, C0) ->
    C = aliased(Message, C0),
    case receiver(To, N, C) of
        ignored -> {[], C};
        Peer ->
            Event = event(<<"send">>, Pid, At, <<>>, [name(type(Message)), peer(Peer), message(Message, Attributes, C)], C),
            {[Event], awaits(Pid, Message, C)}
    end.

arrived(Pid, Message, At, C0) ->
    C = aliased(Message, C0),
    Members = [name(type(Message)), signal(Message), message(Message, C)],
    Event = event(<<"receive">>, Pid, At, <<>>, [<<",\"phase\":\"arrived\"">> | Members], C),
    {[Event], answered(Pid, Message, Members, C)}.

%% What the runtime and its code and io servers answer: no one's message.
of_the_runtime(timeout) -> true;
of_the_runtime({code_server, _}) -> true;
of_the_runtime({io_reply, _, _}) -> true;
of_the_runtime({Ref, [{current_stacktrace, _} | _]}) when is_reference(Ref) -> true;
of_the_runtime(_) -> false.

receiver(Pid, _, #context{kernel = Kernel}) when is_map_key(Pid, Kernel) -> ignored;
receiver(Pid, _, _) when is_pid(Pid) -> Pid;
receiver(Port, _, _) when is_port(Port) -> ignored;
receiver(Alias, _, #context{aliases = Newer, older = Older}) when is_reference(Alias) ->
    maps:get(Alias, Newer, maps:get(Alias, Older, unknown));
receiver({Name, Node}, N, C) when Node =:= node() -> receiver(Name, N, C);
receiver(Name, N, C) when is_atom(Name) ->
    case [Pid || {Since, Pid} <- maps:get(Name, C#context.names, []), Since < N] of
        [Pid | _] -> Pid;
        [] -> bearer(whereis(Name), N, C)
    end;
receiver(_, _, _) -> unknown.

bearer(undefined, _, _) -> unknown;
bearer(PidOrPort, N, C) -> receiver(PidOrPort, N, C).

%% The last two who bore the name: a send may be told after the next one came.
register(Name, Pid, N, C = #context{names = Names}) ->
    C#context{names = Names#{Name => [{N, Pid} | lists:sublist(maps:get(Name, Names, []), 1)]}}.

%% A caller's alias, that its reply is sent to.
aliased({_, {Pid, [alias | Alias]}, _}, C = #context{aliases = Aliases}) when is_pid(Pid), is_reference(Alias) ->
    case map_size(Aliases) < ?ALIASES of
        true -> C#context{aliases = Aliases#{Alias => Pid}};
        false -> C#context{aliases = #{Alias => Pid}, older = Aliases}
    end;
aliased(_, C) -> C.

%% The call that a request was sent by takes the answer to it.
awaits(Pid, {_, {Pid, Tag}, _}, C) ->
    case {monitor_of(Tag), stack(Pid, C)} of
        {Ref, [Frame = #frame{mfa = {M, call, _}} | Below]} when is_reference(Ref), M =:= gen_server orelse M =:= gen_statem ->
            stack(Pid, [Frame#frame{awaits = Ref} | Below], C);
        _ -> C
    end;
awaits(_, _, C) -> C.

answered(Pid, Message, Members, C) ->
    case {answers(Message), stack(Pid, C)} of
        {Ref, [Frame = #frame{awaits = Ref} | Below]} when is_reference(Ref) ->
            stack(Pid, [Frame#frame{awaits = none, taken = Members} | Below], C);
        _ -> C
    end.

answers({'DOWN', Ref, _, _, _}) -> Ref;
answers({Tag, _}) -> monitor_of(Tag);
answers(_) -> no.

monitor_of([alias | Ref]) -> Ref;
monitor_of(Tag) -> Tag.

signal({'EXIT', Pid, _}) when is_pid(Pid) -> [<<",\"signal\":\"exit\"">>, peer(Pid)];
signal({'DOWN', _, process, Pid, _}) when is_pid(Pid) -> [<<",\"signal\":\"down\"">>, peer(Pid)];
signal(_) -> [].

message(Message, C) -> message(Message, [], C).

message(Message, Attributes, C) ->
    <<Hash:8/binary, _/binary>> = erlang:md5(term_to_binary(Message, [deterministic])),
    Printed = case C#context.print of 0 -> []; _ -> [{<<"erlang.message">>, print(Message, C)}] end,
    [member(<<"message_hash">>, binary:encode_hex(Hash)), attributes(Printed ++ Attributes)].

%% What a message is called: by what it begins with.
type({'$gen_call', _, Request}) -> tag(Request);
type({'$gen_cast', Request}) -> tag(Request);
type({[alias | Ref], _}) when is_reference(Ref) -> <<"reply">>;
type({Ref, _}) when is_reference(Ref) -> <<"reply">>;
type(Message) -> tag(Message).

tag(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
tag(Tuple) when is_tuple(Tuple), tuple_size(Tuple) > 0, is_atom(element(1, Tuple)) -> atom_to_binary(element(1, Tuple));
tag(Tuple) when is_tuple(Tuple), tuple_size(Tuple) > 0, is_tuple(element(1, Tuple)) -> tag(element(1, Tuple));
tag(Tuple) when is_tuple(Tuple) -> <<"tuple">>;
tag(Map) when is_map(Map) -> <<"map">>;
tag(List) when is_list(List) -> <<"list">>;
tag(Binary) when is_binary(Binary) -> <<"binary">>;
tag(_) -> <<"term">>.

%% Processes

spawn(Pid, Child, MFA, At, C) ->
    event(<<"spawn">>, Pid, At, <<>>, [name(started(MFA)), process_of(<<"child">>, Child)], C).

%% A server is called by its registered name, else by its module.
started({proc_lib, init_p, [_, _, gen, init_it, [_, _, _, {local, Name}, _, _, _]]}) -> atom_to_binary(Name);
started({proc_lib, init_p, [_, _, gen, init_it, [_, _, _, _, Module, _, _]]}) -> mfa({Module, init, 1});
started({proc_lib, init_p, [_, _, gen, init_it, [_, _, _, supervisor, {_, Module, _}, _]]}) -> mfa({Module, init, 1});
started({proc_lib, init_p, [_, _, gen, init_it, [_, _, _, Module, _, _]]}) when is_atom(Module) -> mfa({Module, init, 1});
started({proc_lib, init_p, [_, _, M, F, Args]}) when is_list(Args) -> mfa({M, F, length(Args)});
started({erlang, apply, [Fun, Args]}) when is_function(Fun) ->
    {module, M} = erlang:fun_info(Fun, module),
    {name, F} = erlang:fun_info(Fun, name),
    mfa({M, F, length(Args)});
started({M, F, Args}) when is_list(Args) -> mfa({M, F, length(Args)});
started(_) -> <<"process">>.

ended(normal, _) -> [];
ended(shutdown, _) -> [];
ended({shutdown, _}, _) -> [];
ended({Ref, return, _}, _) when is_reference(Ref) -> []; % how erpc hands over a result
ended({Value, [{_, _, _, _} | _] = Stack}, C) -> failed(<<"error">>, Value, Stack, C);
ended(Reason, C) -> failed(<<"exit">>, Reason, [], C).

failed(Outcome, Value, Stack, C) ->
    [member(<<"outcome">>, Outcome), <<",\"error\":">>, scope_json:object(
        [{<<"type">>, tag(Value)}] ++
        [{<<"message">>, print(Value, C)} || C#context.print > 0] ++
        [{<<"stacktrace">>, stacktrace(Stack)} || Stack =/= []])].

stacktrace(Stack) ->
    iolist_to_binary(lists:join($\n, [[mfa({M, F, arity(A)}) | place(Info)] || {M, F, A, Info} <- Stack])).

arity(Args) when is_list(Args) -> length(Args);
arity(Arity) -> Arity.

place(Info) ->
    case {proplists:get_value(file, Info), proplists:get_value(line, Info)} of
        {File, Line} when is_list(File), is_integer(Line) ->
            [" (", unicode:characters_to_binary(File), $:, integer_to_binary(Line), $)];
        _ -> []
    end.

%% Words

event(Kind, Pid, {Time, _} = At, Suffix, Members, C) ->
    [<<"{\"kind\":\"">>, Kind, <<"\",\"id\":\"">>, id(At, Suffix, C), <<"\",\"time\":">>,
     integer_to_binary(Time + C#context.offset), C#context.origin, process_of(<<"process">>, Pid), Members, <<"}\n">>].

id({_, N}, Suffix, #context{prefix = Prefix, base = Base}) ->
    <<Prefix/binary, (integer_to_binary(N - Base))/binary, Suffix/binary>>.

name(Name) -> member(<<"name">>, Name).

peer(unknown) -> [];
peer(Pid) -> process_of(<<"peer">>, Pid).

%% A process as its own node writes it.
process_of(Member, Pid) when node(Pid) =:= node() -> member(Member, list_to_binary(pid_to_list(Pid)));
process_of(Member, Pid) ->
    [_, Rest] = string:split(pid_to_list(Pid), "."),
    [member(Member, list_to_binary(["<0." | Rest])), member(<<"peer_node">>, atom_to_binary(node(Pid)))].

attributes([]) -> [];
attributes(List) -> [<<",\"attributes\":">>, scope_json:object(List)].

member(Name, Value) -> [<<",\"">>, Name, <<"\":">>, scope_json:string(Value)].

mfa({M, F, A}) -> <<(atom_to_binary(M))/binary, $:, (atom_to_binary(F))/binary, $/, (integer_to_binary(A))/binary>>.

print(Term, #context{print = Terms}) -> scope_term:print(Term, max(2, Terms)).

stack(Pid, #context{processes = Processes}) -> maps:get(Pid, Processes, []).

stack(Pid, [], C = #context{processes = Processes}) -> C#context{processes = maps:remove(Pid, Processes)};
stack(Pid, Stack, C = #context{processes = Processes}) -> C#context{processes = Processes#{Pid => Stack}}.
