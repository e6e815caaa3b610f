//go:build !linux

package server
