package admission

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// soon is a deadline within the time of a call.
func soon() time.Time { return time.Now().Add(7 * time.Second) }

func mustAcquire(t *testing.T, b *budget, size int64, giveUp func()) *claim {
	t.Helper()
	c := &claim{}
	if err := c.acquire(b, size, 0, soon(), giveUp); err != nil {
		t.Fatalf("%d bytes after a wait: %v", size, err)
	}
	return c
}

func never(t *testing.T) func() {
	t.Helper()
	return func() { t.Error("a claim gave way") }
}

func TestBudget(t *testing.T) {
	t.Parallel()
	t.Run("what is free is granted at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, start := newBudget(10, 2), time.Now()
			one := mustAcquire(t, b, 4, never(t))
			mustAcquire(t, b, 6, never(t))
			one.release()
			mustAcquire(t, b, 4, never(t))
			if waited := time.Since(start); waited != 0 || b.free != 0 {
				t.Errorf("waited %v, %d bytes are free", waited, b.free)
			}
		})
	})
	t.Run("a claim that waits is granted when another is released", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, start := newBudget(10, 2), time.Now()
			one := mustAcquire(t, b, 8, never(t))
			if err := one.keep(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(5*time.Second, one.release)
			mustAcquire(t, b, 8, never(t))
			if waited := time.Since(start); waited != 5*time.Second {
				t.Errorf("waited %v", waited)
			}
		})
	})
	t.Run("the wait ends with the deadline, and leaves nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(10, 2)
			one := mustAcquire(t, b, 8, never(t))
			if err := one.keep(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if err := new(claim).acquire(b, 8, 0, soon(), never(t)); !errors.Is(err, errOverloaded) || time.Since(start) != 7*time.Second {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			one.release()
			if b.free != 10 || len(b.waiting)+len(b.exposed) != 0 {
				t.Errorf("%+v", b)
			}
		})
	})
	t.Run("the lowest rank is first, and of those the newest", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(10, 5)
			one := mustAcquire(t, b, 10, nil)
			order := make(chan string, 5)
			for i, rank := range []int{1, 2, 0, 2, 1} {
				go func() {
					c := &claim{}
					if err := c.acquire(b, 10, rank, soon(), nil); err != nil {
						t.Error(err)
					}
					order <- fmt.Sprintf("%d of rank %d", i, rank)
					c.release()
				}()
				synctest.Wait()
			}
			one.release()
			synctest.Wait()
			close(order)
			got := slices.Collect(func(yield func(string) bool) {
				for name := range order {
					yield(name)
				}
			})
			want := []string{"2 of rank 0", "4 of rank 1", "0 of rank 1", "3 of rank 2", "1 of rank 2"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("the oldest that waits is refused where too many do", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, start := newBudget(10, 1), time.Now()
			mustAcquire(t, b, 10, nil)
			refused := make(chan time.Duration, 2)
			for range 2 {
				go func() {
					if err := new(claim).acquire(b, 1, 0, soon(), nil); errors.Is(err, errOverloaded) {
						refused <- time.Since(start)
					}
				}()
				time.Sleep(time.Second)
			}
			if after := <-refused; after != time.Second {
				t.Errorf("refused after %v", after)
			}
			<-refused // by its deadline
		})
	})
	t.Run("released twice is released once", func(t *testing.T) {
		t.Parallel()
		b := newBudget(10, 2)
		one := mustAcquire(t, b, 10, never(t))
		one.release()
		one.release()
		new(claim).release()
		if b.free != 10 {
			t.Errorf("%d bytes are free", b.free)
		}
	})
}

func TestBudgetEvictsSlowClients(t *testing.T) {
	t.Parallel()
	t.Run("the oldest gives way, once it had its time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, start := newBudget(10, 2), time.Now()
			var slow *claim
			slow = mustAcquire(t, b, 5, func() { go slow.release() })
			time.Sleep(patience / 2)
			mustAcquire(t, b, 5, never(t))
			mustAcquire(t, b, 5, never(t))
			if waited := time.Since(start); waited != patience {
				t.Errorf("waited %v", waited)
			}
			if !slow.gaveUp {
				t.Error("another one gave way")
			}
		})
	})
	t.Run("who gave way is told so at the end of the wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(10, 2)
			slow := mustAcquire(t, b, 10, func() {})
			if err := new(claim).acquire(b, 1, 0, soon(), nil); !errors.Is(err, errOverloaded) {
				t.Errorf("the other one: %v", err)
			}
			if err := slow.keep(); !errors.Is(err, errOverloaded) {
				t.Errorf("the one that gave way: %v", err)
			}
		})
	})
	t.Run("nobody gives way to nobody", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(10, 2)
			mustAcquire(t, b, 5, never(t))
			time.Sleep(time.Hour)
			mustAcquire(t, b, 5, never(t)) // it is free
		})
	})
	t.Run("as many give way as are needed, and no more", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b, gone := newBudget(9, 2), 0
			for range 3 {
				var c *claim
				c = mustAcquire(t, b, 3, func() { gone++; time.AfterFunc(time.Second, c.release) })
			}
			time.Sleep(patience)
			mustAcquire(t, b, 5, never(t))
			if gone != 2 {
				t.Errorf("%d gave way", gone)
			}
		})
	})
}
