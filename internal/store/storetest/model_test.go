package storetest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type harness struct{ model *storetest.Model }

func (h harness) Store() store.Store { return h.model }
func (harness) Cut(*testing.T)       {}
func (harness) Reopen(*testing.T)    {}

func TestModel(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		return harness{storetest.NewModel(time.Now)}
	})
}
