// Package metrics stands in for the contributors' package of this name, which is published with some versions only.
// It has keys of series, and differences between a value and the one before it.
package metrics

import (
	"encoding/json"
	"sync"
	"time"
)

// Key is a series: whatever describes its metric, and its labels.
type Key struct {
	MetricMetadata any
	Labels         string
}

// NewKey makes a key; two of the same labels are equal, since JSON sorts them.
func NewKey(metricMetadata any, labels map[string]string) Key {
	text, _ := json.Marshal(labels)
	return Key{MetricMetadata: metricMetadata, Labels: string(text)}
}

// MetricValue is a value and when it was.
type MetricValue struct {
	RawValue  any
	Timestamp time.Time
}

// CalculateFunc makes the result of the value before, which is nil at first, and of this one.
type CalculateFunc func(previous *MetricValue, value any, at time.Time) (any, bool)

// MetricCalculator remembers the last value of each series.
type MetricCalculator struct {
	calculate CalculateFunc
	lock      *sync.Mutex
	last      map[Key]MetricValue
}

// NewMetricCalculator makes a calculator of a function.
func NewMetricCalculator(calculate CalculateFunc) MetricCalculator {
	return MetricCalculator{calculate: calculate, lock: &sync.Mutex{}, last: map[Key]MetricValue{}}
}

// NewFloat64DeltaCalculator gives differences; after a fall, which is a new beginning, the value itself.
func NewFloat64DeltaCalculator() MetricCalculator {
	return NewMetricCalculator(func(previous *MetricValue, value any, _ time.Time) (any, bool) {
		now := value.(float64)
		if previous == nil {
			return now, false
		}
		if before := previous.RawValue.(float64); before <= now {
			return now - before, true
		}
		return now, true
	})
}

// Calculate gives the result for a value, and whether there is one.
func (c MetricCalculator) Calculate(key Key, value any, at time.Time) (any, bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	var previous *MetricValue
	if found, ok := c.last[key]; ok {
		previous = &found
	}
	c.last[key] = MetricValue{RawValue: value, Timestamp: at}
	return c.calculate(previous, value, at)
}

// Shutdown has nothing to end.
func (MetricCalculator) Shutdown() error { return nil }
