DROP INDEX flow_values_taken;
