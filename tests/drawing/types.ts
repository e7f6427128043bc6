// A dashboard's JSON has the types of Grafana's schema; `checked` is written below by the test.
import type { Dashboard } from '@grafana/schema';

// JSON has the values of enumerations, and not their members.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
export type Checked = Plain<Dashboard>;
