// Package depcheck holds no code, only the test that keeps the direction of
// imports: who of our packages may import whom, and what must stay out of reach.
package depcheck
