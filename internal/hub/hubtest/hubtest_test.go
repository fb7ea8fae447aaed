package hubtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestHub(t *testing.T) {
	model := storetest.NewModel(time.Now)
	h := NewHub(model)
	require.Same(t, model, h.Store())
	require.Same(t, h, NewHost(h).GetExtensions()[ID])

	id := component.MustNewID("scope")
	offStatus := h.RegisterStatus(id, func() any { return 7 })
	offLetters := h.RegisterDeadLetters(id, hub.DeadLetters(nil))
	require.Equal(t, 7, h.Status()[id]())
	require.Contains(t, h.DeadLetters(), id)

	for range 2 {
		offStatus()
		offLetters()
		require.Empty(t, h.Status())
		require.Empty(t, h.DeadLetters())
	}
}
