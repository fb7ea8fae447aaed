%% Posts bodies, one at a time, over one connection that is kept. A body that
%% cannot be taken now is sent again unchanged until it is: the receiver
%% recognises what it has already. Only kernel and stdlib are used.
-module(scope_http).

-export([start_link/1, idle/1, post/3]).
-export_type([poster/0]).

-define(CONNECT_MS, 2000).
-define(ANSWER_MS, 30000).
-define(AGAIN_MS, 500).

-opaque poster() :: {pid(), atomics:atomics_ref()}.

%% Endpoint is the receiver's address, such as "http://localhost:4319". The
%% name is looked up here and now.
-spec start_link(string()) -> {pid(), poster()}.
start_link(Endpoint) ->
    #{scheme := "http", host := Host} = Parsed = uri_string:parse(Endpoint),
    Port = maps:get(port, Parsed, 80),
    {Address, Family} = address(Host),
    Head = ["POST /v1/events HTTP/1.1\r\nHost: ", Host, $:, integer_to_list(Port),
            "\r\nContent-Type: application/x-ndjson\r\nContent-Length: "],
    Busy = atomics:new(1, []),
    Pid = spawn_link(fun() -> loop(#{address => Address, family => Family, port => Port, head => Head}, Busy, none) end),
    {Pid, {Pid, Busy}}.

%% Whether nothing is under way. It can be asked at any time: an answer may lie
%% behind many other messages.
-spec idle(poster()) -> boolean().
idle({_, Busy}) -> atomics:get(Busy, 1) =:= 0.

%% Posts the body if the poster is idle. Sends the caller {posted, Tag, Status,
%% Answer} in the end.
-spec post(poster(), term(), iodata()) -> ok.
post({Pid, Busy}, Tag, Body) ->
    ok = atomics:put(Busy, 1, 1),
    Pid ! {post, self(), Tag, Body},
    ok.

address(Host) ->
    case inet:getaddr(Host, inet) of
        {ok, Address} ->
            {Address, inet};
        {error, _} ->
            {ok, Address} = inet:getaddr(Host, inet6),
            {Address, inet6}
    end.

loop(To, Busy, Socket) ->
    receive
        {post, From, Tag, Body} ->
            {Status, Answer, Kept} = deliver(To, Socket, [integer_to_list(iolist_size(Body)), "\r\n\r\n", Body]),
            ok = atomics:put(Busy, 1, 0),
            From ! {posted, Tag, Status, Answer},
            loop(To, Busy, Kept)
    end.

deliver(To, Socket, Rest) ->
    case exchange(To, Socket, Rest) of
        {ok, Status, Again, _, Kept} when Status =:= 429; Status =:= 503 ->
            timer:sleep(Again),
            deliver(To, Kept, Rest);
        {ok, Status, _, Answer, Kept} ->
            {Status, Answer, Kept};
        {error, _} ->
            timer:sleep(?AGAIN_MS),
            deliver(To, none, Rest)
    end.

exchange(To = #{address := Address, family := Family, port := Port}, none, Rest) ->
    Options = [Family, binary, {active, false}, {packet, http_bin}, {nodelay, true}],
    case gen_tcp:connect(Address, Port, Options, ?CONNECT_MS) of
        {ok, Socket} -> exchange(To, Socket, Rest);
        Error -> Error
    end;
exchange(#{head := Head}, Socket, Rest) ->
    maybe_close(Socket, case gen_tcp:send(Socket, [Head, Rest]) of
        ok -> answer(Socket);
        Error -> Error
    end).

maybe_close(Socket, {error, _} = Error) ->
    gen_tcp:close(Socket),
    Error;
maybe_close(_, Answer) ->
    Answer.

answer(Socket) ->
    case gen_tcp:recv(Socket, 0, ?ANSWER_MS) of
        {ok, {http_response, _, Status, _}} -> headers(Socket, Status, #{});
        {ok, _} -> {error, no_http};
        Error -> Error
    end.

headers(Socket, Status, Seen) ->
    case gen_tcp:recv(Socket, 0, ?ANSWER_MS) of
        {ok, {http_header, _, Name, _, Value}} -> headers(Socket, Status, Seen#{Name => Value});
        {ok, http_eoh} -> body(Socket, Status, Seen);
        {ok, _} -> {error, no_http};
        Error -> Error
    end.

%% An answer of unknown length ends the connection.
body(Socket, Status, Headers) ->
    Again = case string:to_integer(maps:get('Retry-After', Headers, <<>>)) of
        {error, _} -> ?AGAIN_MS;
        {Seconds, _} -> 1000 * Seconds
    end,
    case Headers of
        #{'Content-Length' := <<"0">>} ->
            {ok, Status, Again, <<>>, Socket};
        #{'Content-Length' := Length} ->
            ok = inet:setopts(Socket, [{packet, raw}]),
            case gen_tcp:recv(Socket, binary_to_integer(Length), ?ANSWER_MS) of
                {ok, Answer} ->
                    ok = inet:setopts(Socket, [{packet, http_bin}]),
                    {ok, Status, Again, Answer, Socket};
                Error ->
                    Error
            end;
        #{} ->
            gen_tcp:close(Socket),
            {ok, Status, Again, <<>>, none}
    end.
