Feature: The vendor calls when it is done
  Instead of asking again and again, a job can give the vendor an address and sleep. Whoever calls must prove who it is.

  Background:
    Given an export API with these files
      | path | size |
      | /x   | 1000 |
    And the job waits for a call

  Scenario: A call wakes the job
    Given the vendor calls once the job sleeps
    When a job lands the export
    Then the job is COMPLETED
    And the API was asked to start 1 time and polled 1 times
    And every stored file is identical to its source

  Scenario: A call that comes before the job sleeps is not lost
    Given the vendor calls before it answers the start request
    When a job lands the export
    Then the job is COMPLETED
    And the API was asked to start 1 time and polled 1 times

  Scenario: A stranger's call is refused, and the true one still heard
    Given the vendor calls once the job sleeps
    And a stranger calls first
    When a job lands the export
    Then the job is COMPLETED
    And the stranger was refused

  Scenario: A vendor that forgets to call is asked
    Given the job is patient for 1 second
    When a job lands the export
    Then the job is COMPLETED
    And every stored file is identical to its source
