%% Sends what processes of this node do to Scope, as native events: calls of
%% some modules, messages, spawns and exits, by erlang:trace/3.
%%
%%     {ok, _} = scope_tracer:start(#{service => <<"shop">>, modules => [shop_orders]}),
%%     scope_tracer:trace(shop_sup).
%%
%% The tracer is one process; another posts what it collected, one body at a
%% time, so that each process's events stay in order. What does not fit into
%% the buffer while Scope does not answer is dropped, counted, and told. When
%% the tracer ends, so does all tracing.
-module(scope_tracer).
-behaviour(gen_server).

-export([start/1, start_link/1, trace/1, flush/0, stats/0, stop/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-define(BATCH, 500).            % events that are worth a body before DELAY_MS
-define(DELAY_MS, 50).
-define(BUFFER, 50000).         % events
-define(MAILBOX, 100000).       % trace messages that may wait
-define(LOOK, 1000).            % after so many it is looked how many wait
-define(FLAGS, [call, arity, send, 'receive', procs, set_on_spawn, strict_monotonic_timestamp]).
%% Of OTP's own modules.
-define(CALLERS, [{gen_server, call, 2}, {gen_server, call, 3}, {gen_statem, call, 2}, {gen_statem, call, 3}]).
%% What they do belongs to the callback before.
-define(CONTINUATIONS, [{handle_continue, 2}, {terminate, 2}, {terminate, 3}, {code_change, 3}, {code_change, 4},
                        {format_status, 1}, {format_status, 2}, {callback_mode, 0}, {module_info, 0}, {module_info, 1}]).

-record(state, {
    context :: scope_event:context(),
    modules :: [module()],
    poster :: scope_http:poster(),
    buffer = [] :: [iodata()],          % newest first
    size = 0 :: non_neg_integer(),      % of the buffer, in events
    timer = none :: none | reference(),
    seen = 0 :: non_neg_integer(),      % trace messages
    waiting = [] :: [{reference() | delivered, gen_server:from()}], % for the buffer to be empty
    under_way = 0 :: non_neg_integer(), % events that were handed over and not answered for
    sent = 0 :: non_neg_integer(),
    dropped = 0 :: non_neg_integer(),
    untold = 0 :: non_neg_integer(),    % dropped since that was told last
    rejected = 0 :: non_neg_integer()   % answers that rejected something
}).

%% Options: endpoint (default "http://localhost:4319"), service (default the
%% node's name), node (default the node's name, or host and OS process of a node
%% without one), modules whose exported functions are traced, and print, how many
%% subterms of a message or a reason are sent as text (default 20; 0: none, the
%% content stays here).
-spec start(map()) -> {ok, pid()} | {error, term()}.
start(Options) -> gen_server:start({local, ?MODULE}, ?MODULE, Options, []).

-spec start_link(map()) -> {ok, pid()} | {error, term()}.
start_link(Options) -> gen_server:start_link({local, ?MODULE}, ?MODULE, Options, []).

%% Traces all processes that are spawned from now on (new), one process, or one
%% that bears a name, such as a supervisor, and all below it; and whatever these
%% spawn.
-spec trace(new | pid() | atom()) -> ok.
trace(Name) when is_atom(Name), Name =/= new ->
    is_pid(whereis(Name)) orelse error({noproc, Name}),
    gen_server:call(?MODULE, {trace, Name}, infinity);
trace(What) ->
    gen_server:call(?MODULE, {trace, What}, infinity).

%% Waits until all that was traced until now is with Scope.
-spec flush() -> ok.
flush() -> gen_server:call(?MODULE, flush, infinity).

%% Events sent and dropped, and answers that rejected some.
-spec stats() -> #{sent | dropped | rejected => non_neg_integer()}.
stats() -> gen_server:call(?MODULE, stats).

-spec stop() -> ok.
stop() -> gen_server:stop(?MODULE).

init(Options) ->
    process_flag(message_queue_data, off_heap),
    {Posting, Poster} = scope_http:start_link(maps:get(endpoint, Options, "http://localhost:4319")),
    Modules = maps:get(modules, Options, []),
    lists:foreach(fun calls/1, Modules),
    lists:foreach(fun(MFA) -> calls(MFA, [], []) end, ?CALLERS),
    lists:foreach(fun callback/1, [{supervisor, init, 1} | callbacks(supervisor)]),
    Context = scope_event:new(#{
        service => maps:get(service, Options, atom_to_binary(node())),
        node => maps:get(node, Options, instance(node())),
        print => maps:get(print, Options, 20),
        kernel => [self(), Posting |
            [P || P <- processes(), application:get_application(P) =:= {ok, kernel}]]
    }),
    {ok, #state{context = Context, modules = Modules, poster = Poster}}.

instance(nonode@nohost) ->
    {ok, Host} = inet:gethostname(),
    iolist_to_binary([Host, $., os:getpid()]);
instance(Node) ->
    atom_to_binary(Node).

%% Patterns. A callback's state is not asked for: the runtime would copy it.

calls(Module) ->
    {module, Module} = code:ensure_loaded(Module),
    calls({Module, '_', '_'}, [], []),
    lists:foreach(fun callback/1, callbacks(Module)),
    [erlang:trace_pattern({Module, F, A}, false, []) || {F, A} <- ?CONTINUATIONS],
    case erlang:function_exported(Module, callback_mode, 0) of
        true -> machine(Module, lists:flatten([Module:callback_mode()]));
        false -> ok
    end.

%% Traces calls, their returns and exceptions; Told is what the call tells of
%% its arguments, as the body of a match specification.
calls(MFA, Arguments, Told) ->
    Head = case Arguments of [] -> '_'; _ -> Arguments end,
    erlang:trace_pattern(MFA, [{Head, [], [{exception_trace} | [{message, T} || T <- Told]]}], []).

callbacks(Module) -> [{Module, handle_call, 3}, {Module, handle_cast, 2}, {Module, handle_info, 2}].

callback({_, handle_call, 3} = MFA) -> calls(MFA, ['$1', '$2', '_'], [{{handles, {{'$gen_call', '$2', '$1'}}}}]);
callback({_, handle_cast, 2} = MFA) -> calls(MFA, ['$1', '_'], [{{handles, {{'$gen_cast', '$1'}}}}]);
callback({_, handle_info, 2} = MFA) -> calls(MFA, ['$1', '_'], [{{handles, '$1'}}]);
callback(MFA) -> calls(MFA, [], []).

machine(Module, Mode) ->
    calls({Module, init, 1}, ['_'], [statem_init]),
    case lists:member(handle_event_function, Mode) of
        true ->
            calls({Module, handle_event, 4}, ['$1', '$2', '$3', '_'], [{{statem, '$1', '$2', '$3'}}]);
        false ->
            [calls({Module, F, 3}, ['$1', '$2', '_'], [{{statem, '$1', '$2', F}}])
                || {F, 3} <- Module:module_info(exports), F =/= terminate, F =/= code_change]
    end.

handle_call({trace, What}, _, S) ->
    {reply, ok, S#state{context = lists:foldl(fun trace/2, S#state.context, processes_of(What))}};
handle_call(flush, From, S) ->
    {noreply, S#state{waiting = [{erlang:trace_delivered(all), From} | S#state.waiting]}};
handle_call(stats, _, S = #state{sent = Sent, dropped = Dropped, rejected = Rejected}) ->
    {reply, #{sent => Sent, dropped => Dropped, rejected => Rejected}, S}.

handle_cast(_, S) -> {noreply, S}.

processes_of(new) -> [new_processes];
processes_of(Pid) when is_pid(Pid) -> [Pid];
processes_of(Name) ->
    Root = whereis(Name),
    [Root | [P || P <- processes(), {dictionary, D} <- [process_info(P, dictionary)],
        A <- [proplists:get_value('$ancestors', D, [])], is_list(A), lists:member(Name, A) orelse lists:member(Root, A)]].

%% A process that ended meanwhile is none to trace.
trace(What, Context) ->
    try erlang:trace(What, true, [{tracer, self()} | ?FLAGS]) of
        _ when is_pid(What) -> name(process_info(What, registered_name), What, Context);
        _ -> Context
    catch
        error:badarg -> Context
    end.

name({registered_name, Name}, Pid, Context) -> scope_event:named(Name, Pid, Context);
name(_, _, Context) -> Context.

handle_info(Trace, S = #state{seen = Seen}) when element(1, Trace) =:= trace_ts ->
    {Events, Context} = scope_event:events(Trace, S#state.context),
    {noreply, relieve(send(lists:foldl(fun add/2, S#state{context = Context, seen = Seen + 1}, Events)))};
handle_info({posted, Events, Status, Answer}, S = #state{sent = Sent, under_way = N}) ->
    {noreply, post(posted(Status, Answer, S#state{sent = Sent + Events, under_way = N - Events}))};
handle_info(post, S) ->
    {noreply, post(S#state{timer = none})};
handle_info({trace_delivered, all, Ref}, S = #state{waiting = Waiting}) ->
    {value, {Ref, From}, Others} = lists:keytake(Ref, 1, Waiting),
    {noreply, post(S#state{waiting = [{delivered, From} | Others]})}.

terminate(_, #state{modules = Modules}) ->
    [erlang:trace_pattern({M, '_', '_'}, false, []) || M <- [supervisor, gen_server, gen_statem | Modules]],
    ok.

add(_, S = #state{size = ?BUFFER}) -> S#state{dropped = S#state.dropped + 1, untold = S#state.untold + 1};
add(Event, S = #state{buffer = Buffer, size = Size}) -> S#state{buffer = [Event | Buffer], size = Size + 1}.

send(S = #state{size = Size}) when Size >= ?BATCH -> post(S);
send(S = #state{size = Size, timer = none}) when Size > 0 -> S#state{timer = erlang:send_after(?DELAY_MS, self(), post)};
send(S) -> S.

%% Hands over what there is, unless a body is under way.
post(S = #state{poster = Poster}) ->
    case scope_http:idle(Poster) of
        true -> hand_over(S);
        false -> S
    end.

hand_over(S = #state{size = 0, under_way = N}) when N > 0 ->
    S;
hand_over(S = #state{size = 0, waiting = Waiting}) ->
    [gen_server:reply(From, ok) || {delivered, From} <- Waiting],
    S#state{waiting = [W || W = {Ref, _} <- Waiting, Ref =/= delivered]};
hand_over(S = #state{buffer = Buffer, size = Size, under_way = N, poster = Poster}) ->
    scope_http:post(Poster, Size, lists:reverse(Buffer)),
    tell(S#state{buffer = [], size = 0, under_way = N + Size}).

tell(S = #state{untold = 0}) -> S;
tell(S = #state{untold = N, context = C}) ->
    add(scope_event:mark(<<"scope_tracer: events dropped">>, self(), [{<<"count">>, N}], C), S#state{untold = 0}).

posted(200, Answer, S) ->
    case binary:match(Answer, <<"\"rejected\":[]">>) of
        nomatch -> refused(200, Answer, S);
        _ -> S
    end;
posted(Status, Answer, S) ->
    refused(Status, Answer, S).

refused(Status, Answer, S) ->
    logger:warning("Scope answered ~p: ~ts", [Status, string:slice(Answer, 0, 500)]),
    S#state{rejected = S#state.rejected + 1}.

%% When trace messages come faster than they can be read, those that wait are
%% dropped; calls that were open are forgotten with them.
relieve(S = #state{context = C, seen = Seen}) when Seen rem ?LOOK =:= 0 ->
    case process_info(self(), message_queue_len) of
        {message_queue_len, N} when N > ?MAILBOX ->
            Lost = discard(0),
            S#state{context = scope_event:forget(C), dropped = S#state.dropped + Lost, untold = S#state.untold + Lost};
        _ ->
            S
    end;
relieve(S) ->
    S.

discard(N) ->
    receive Trace when element(1, Trace) =:= trace_ts -> discard(N + 1)
    after 0 -> N
    end.
