import { kubeSchedulerCases } from './kube-scheduler-cases.ts';

kubeSchedulerCases({ version: '1.37.2', gangs: true });
