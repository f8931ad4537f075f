DROP TABLE replies;
DROP TABLE trigger_status;
DROP TABLE trigger_leases;
DROP TABLE servers;
