module github.com/open-telemetry/opentelemetry-collector-contrib/internal/aws/awsutil

go 1.25.0

require (
	github.com/aws/aws-sdk-go-v2 v1.43.3
	go.uber.org/zap v1.28.0
)
