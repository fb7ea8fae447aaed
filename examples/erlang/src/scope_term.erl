%% Terms as text that is short and cheap to make: so many subterms, and so many
%% bytes of each, as if the rest were "...".
-module(scope_term).

-export([print/2]).

-define(BYTES, 60). % of a string or a binary

%% The text of Term, of at most Terms subterms, in UTF-8.
-spec print(term(), pos_integer()) -> binary().
print(Term, Terms) ->
    {Text, _} = term(Term, Terms),
    iolist_to_binary(Text).

term(_, 0) -> {<<"...">>, 0};
term(T, N) when is_tuple(T) -> {Text, Left} = elements(tuple_to_list(T), N - 1), {[${, Text, $}], Left};
term([], N) -> {<<"[]">>, N - 1};
term(T, N) when is_list(T) ->
    case text(T, ?BYTES) of
        true -> {cut(list_to_binary(lists:sublist(T, ?BYTES + 1))), N - 1};
        false -> {Text, Left} = elements(T, N - 1), {[$[, Text, $]], Left}
    end;
term(T, N) when is_map(T) -> {Text, Left} = members(maps:next(maps:iterator(T)), N - 1), {[<<"#{">>, Text, $}], Left};
term(T, N) when is_binary(T) -> {binary(T), N - 1};
term(T, N) -> {single(T), N - 1}.

single(T) when is_atom(T) -> atom(atom_to_binary(T));
single(T) when is_integer(T), T < 1 bsl 128, T > -(1 bsl 128) -> integer_to_binary(T);
single(T) when is_integer(T) -> <<"(large integer)">>;
single(T) when is_float(T) -> float_to_binary(T, [short]);
single(T) when is_pid(T) -> pid_to_list(T);
single(T) when is_reference(T) -> ref_to_list(T);
single(T) when is_port(T) -> erlang:port_to_list(T);
single(T) when is_function(T) -> erlang:fun_to_list(T);
single(_) -> <<"<<bits>>">>.

elements([], N) -> {[], N};
elements(_, 0) -> {<<"...">>, 0};
elements([T], N) -> term(T, N);
elements([T | Rest], N) when is_list(Rest) ->
    {Text, Left} = term(T, N),
    {More, Last} = elements(Rest, Left),
    {[Text, $,, More], Last};
elements([T | Tail], N) -> % an improper list
    {Text, Left} = term(T, N),
    {More, Last} = term(Tail, Left),
    {[Text, $|, More], Last}.

members(none, N) -> {[], N};
members(_, 0) -> {<<"...">>, 0};
members({K, V, Rest}, N) ->
    {Key, Left} = term(K, N),
    {Value, Last} = term(V, Left),
    Comma = case maps:next(Rest) of none -> []; _ -> $, end,
    {More, End} = members(maps:next(Rest), Last),
    {[Key, <<" => ">>, Value, Comma, More], End}.

%% Whether it is text, as far as it would be printed.
text(_, 0) -> true;
text([C | Rest], N) when is_integer(C), C >= 32, C < 127 -> text(Rest, N - 1);
text([], _) -> true;
text(_, _) -> false.

cut(Text) when byte_size(Text) > ?BYTES -> [$", binary:part(Text, 0, ?BYTES), <<"\"...">>];
cut(Text) -> [$", Text, $"].

binary(B) ->
    case plain(B, ?BYTES) of
        true -> [<<"<<">>, cut(B), <<">>">>];
        false -> [<<"<<">>, integer_to_binary(byte_size(B)), <<" bytes>>">>]
    end.

plain(_, 0) -> true;
plain(<<C, Rest/binary>>, N) when C >= 32, C < 127 -> plain(Rest, N - 1);
plain(Rest, _) -> Rest =:= <<>>.

atom(<<C, Rest/binary>> = Name) when C >= $a, C =< $z ->
    case name(Rest) of
        true -> Name;
        false -> [$', Name, $']
    end;
atom(Name) -> [$', Name, $'].

name(<<C, Rest/binary>>) when C >= $a, C =< $z; C >= $0, C =< $9; C >= $A, C =< $Z; C =:= $_; C =:= $@ -> name(Rest);
name(Rest) -> Rest =:= <<>>.
