%% JSON as the tracer needs it.
-module(scope_json).

-export([string/1, object/1]).

%% A JSON string of UTF-8; what is no UTF-8 becomes U+FFFD.
-spec string(binary()) -> iodata().
string(Text) ->
    case plain(Text) of
        true -> [$", Text, $"];
        false -> [$", escaped(Text, <<>>), $"]
    end.

%% An object of strings and integers.
-spec object([{binary(), binary() | integer()}]) -> iodata().
object(Members) ->
    [${, lists:join($,, [[string(K), $:, value(V)] || {K, V} <- Members]), $}].

value(V) when is_integer(V) -> integer_to_binary(V);
value(V) -> string(V).

%% ASCII that needs no escape: nearly all there is.
plain(<<C, Rest/binary>>) when C >= 32, C < 127, C =/= $", C =/= $\\ -> plain(Rest);
plain(Rest) -> Rest =:= <<>>.

escaped(<<C, Rest/binary>>, To) when C >= 32, C < 127, C =/= $", C =/= $\\ -> escaped(Rest, <<To/binary, C>>);
escaped(<<C, Rest/binary>>, To) when C =:= $"; C =:= $\\ -> escaped(Rest, <<To/binary, $\\, C>>);
escaped(<<$\n, Rest/binary>>, To) -> escaped(Rest, <<To/binary, "\\n">>);
escaped(<<C, Rest/binary>>, To) when C < 32 ->
    escaped(Rest, <<To/binary, "\\u00", (C bsr 4 + $0), (hex(C band 15))>>);
escaped(<<C/utf8, Rest/binary>>, To) -> escaped(Rest, <<To/binary, C/utf8>>);
escaped(<<_, Rest/binary>>, To) -> escaped(Rest, <<To/binary, 16#FFFD/utf8>>);
escaped(<<>>, To) -> To.

hex(N) when N < 10 -> $0 + N;
hex(N) -> $a + N - 10.
