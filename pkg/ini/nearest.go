package ini

import "strings"

// Nearest returns the known key that a misspelled one probably means, the first
// of those equally near. It returns false when none is near: one edit is allowed
// for each three characters, and three at most. A swap of neighbours is one.
func Nearest(key string, known []string) (string, bool) {
	limit := min(3, max(1, len([]rune(key))/3))
	best, found := "", false
	for _, candidate := range known {
		if d := editDistance(strings.ToLower(key), strings.ToLower(candidate)); d <= limit {
			best, found, limit = candidate, true, d-1
		}
	}
	return best, found
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that make b of a.
func editDistance(a, b string) int {
	from, to := []rune(a), []rune(b)
	var before []int // the row before the last
	last := make([]int, len(to)+1)
	for j := range last {
		last[j] = j
	}
	for i := range from {
		row := make([]int, len(to)+1)
		row[0] = i + 1
		for j := range to {
			cost := 1
			if from[i] == to[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(to)]
}
