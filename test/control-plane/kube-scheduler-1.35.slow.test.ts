import { join } from 'node:path';
import { binaries } from './binaries.ts';
import { kubeSchedulerCases } from './kube-scheduler-cases.ts';

// Its gangs belong to an API that the newest API server no longer has.
kubeSchedulerCases({ version: '1.35.8', binary: () => join(binaries('go-1.35'), 'kube-scheduler'), gangs: false });
