package logs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/zap"
)

// BenchmarkThroughput tells the bytes a second from writers' pipes into rotated files.
func BenchmarkThroughput(b *testing.B) {
	for _, bc := range []struct{ writers, size int }{{1, 100}, {1, 4096}, {100, 100}, {100, 4096}} {
		b.Run(fmt.Sprintf("%d writers of %d bytes", bc.writers, bc.size), func(b *testing.B) {
			dir := b.TempDir()
			c, err := New(Options{Auto: Auto{Dir: dir}}, zap.NewNop())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			line := append(bytes.Repeat([]byte("x"), bc.size-1), '\n')
			b.SetBytes(int64(bc.size))
			var wg sync.WaitGroup
			for i := range bc.writers {
				w := attach(b, c, Sink{Path: filepath.Join(dir, fmt.Sprint(i)), MaxBytes: 50 << 20, Backups: 1})
				n := b.N/bc.writers + 1
				wg.Go(func() {
					defer w.Close()
					for range n {
						if _, err := w.Write(line); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			flush(b, c)
		})
	}
}
