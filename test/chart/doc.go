// Package chart tests the Helm chart and what is made from it: what it renders, by
// the real Helm 3 and Helm 4, and what a real API server makes of that.
package chart
