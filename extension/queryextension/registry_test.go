package queryextension

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
)

func TestLastRegistrationSpeaks(t *testing.T) {
	var r registrations[int]
	other := component.MustNewID("pressure")
	off1 := r.add(scopeID, 1)
	off2 := r.add(scopeID, 2)
	offOther := r.add(other, 3)
	require.Equal(t, []named[int]{{"pressure", 3}, {"scope", 2}}, r.list())
	require.Equal(t, []named[int]{{"pressure", 3}, {"scope", 1}, {"scope", 2}}, r.every())

	off1()
	off1()
	require.Equal(t, []named[int]{{"pressure", 3}, {"scope", 2}}, r.list(), "an older instance leaves")
	off3 := r.add(scopeID, 4)
	off3()
	require.Equal(t, []named[int]{{"pressure", 3}, {"scope", 2}}, r.list(), "the newest leaves: the one before speaks again")
	off2()
	offOther()
	require.Empty(t, r.list())
	require.Empty(t, r.every())
	off2()
	require.Empty(t, r.of)
}
