// Package cwlogs stands in for the contributors' package of this name, which is published with some versions only.
// Events are made as there, and sent nowhere: the exporter prints them with `output_destination: stdout`.
package cwlogs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

var errNoCloud = errors.New("this collector checks configurations; it sends nothing to a cloud")

// StreamKey names a stream of logs.
type StreamKey struct {
	LogGroupName  string
	LogStreamName string
}

// InputLogEvent is one event as the cloud takes it.
type InputLogEvent struct {
	Timestamp *int64
	Message   *string
}

// Event is one event, its stream, and when it was made.
type Event struct {
	InputLogEvent InputLogEvent
	GeneratedTime time.Time
	StreamKey
}

// NewEvent makes an event of a time in milliseconds and a text.
func NewEvent(timestampMs int64, message string) *Event {
	return &Event{InputLogEvent: InputLogEvent{Timestamp: &timestampMs, Message: &message}}
}

// Client would speak to the cloud.
type Client struct{}

// ClientOption changes a client.
type ClientOption func(*Client)

// WithUserAgentExtras changes nothing here.
func WithUserAgentExtras(...string) ClientOption { return func(*Client) {} }

// NewClient makes a client that speaks to nobody.
func NewClient(
	*zap.Logger, aws.Config, component.BuildInfo, string, int32, map[string]string, string, ...ClientOption,
) *Client {
	return &Client{}
}

// Pusher sends events of one stream.
type Pusher interface {
	AddLogEntry(context.Context, *Event) error
	ForceFlush(context.Context) error
}

type refuser struct{}

func (refuser) AddLogEntry(context.Context, *Event) error { return errNoCloud }
func (refuser) ForceFlush(context.Context) error          { return nil }

// NewPusher makes one that refuses.
func NewPusher(StreamKey, int, Client, *zap.Logger) Pusher { return refuser{} }

var retentions = []int32{
	0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 2192, 2557, 2922, 3288, 3653,
}

// ValidateRetentionValue refuses a number of days that the cloud does not offer.
func ValidateRetentionValue(days int32) error {
	if !slices.Contains(retentions, days) {
		return fmt.Errorf("log_retention is %d; it is one of %v", days, retentions)
	}
	return nil
}

// ValidateTagsInput refuses more tags than the cloud takes.
func ValidateTagsInput(tags map[string]string) error {
	if len(tags) > 50 {
		return fmt.Errorf("there are %d tags; at most 50 are taken", len(tags))
	}
	return nil
}
