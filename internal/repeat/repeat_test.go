package repeat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	t.Run("lasts as long as it is told", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			Sleep(t.Context(), time.Minute)
			if took := time.Since(began); took != time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			Sleep(ctx, time.Hour)
			if took := time.Since(began); took != time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
}

func TestFailing(t *testing.T) {
	t.Parallel()
	var f Failing
	first, second := errors.New("first"), errors.New("second")
	got := []bool{
		f.Recovered(), // nothing has failed yet
		f.With(first), f.With(errors.New("first")), f.With(second), f.With(first),
		f.Recovered(), f.Recovered(),
		f.With(first),
	}
	if diff := cmp.Diff([]bool{false, true, false, true, true, true, false, true}, got); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}
