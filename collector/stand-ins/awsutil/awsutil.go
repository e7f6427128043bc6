// Package awsutil stands in for the contributors' package of this name, which is published with some versions only.
// It has the settings of a session, by the names that their page on the exporter gives, and opens no session.
package awsutil

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"
)

// AWSSessionSettings says how an exporter reaches the cloud.
type AWSSessionSettings struct {
	NumberOfWorkers       int    `mapstructure:"num_workers"`
	Endpoint              string `mapstructure:"endpoint"`
	RequestTimeoutSeconds int    `mapstructure:"request_timeout_seconds"`
	MaxRetries            int    `mapstructure:"max_retries"`
	NoVerifySSL           bool   `mapstructure:"no_verify_ssl"`
	ProxyAddress          string `mapstructure:"proxy_address"`
	Region                string `mapstructure:"region"`
	LocalMode             bool   `mapstructure:"local_mode"`
	ResourceARN           string `mapstructure:"resource_arn"`
	RoleARN               string `mapstructure:"role_arn"`
	ExternalID            string `mapstructure:"external_id"`
}

// CreateDefaultSessionConfig gives the settings of an exporter that has none.
func CreateDefaultSessionConfig() AWSSessionSettings {
	return AWSSessionSettings{NumberOfWorkers: 8, RequestTimeoutSeconds: 30, MaxRetries: 2}
}

// GetAWSConfig gives the region; a region that is not told would be asked of the cloud, and there is none.
func GetAWSConfig(_ context.Context, _ *zap.Logger, settings *AWSSessionSettings) (aws.Config, error) {
	if settings.Region == "" {
		return aws.Config{}, errors.New("no region is set")
	}
	return aws.Config{Region: settings.Region, RetryMaxAttempts: settings.MaxRetries}, nil
}
