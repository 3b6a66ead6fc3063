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
    And the vendor's call was heard

  Scenario: A vendor that forgets to call is asked
    Given the job is patient for 1 second
    When a job lands the export
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: A vendor that forgets to call and is not done by then is asked again and again
    Given the job is patient for 1 second
    And the export takes 2 polls
    When a job lands the export
    Then the job is COMPLETED
    And the API was asked to start 1 time and polled 3 times

  Scenario: A vendor that is silent is asked now and then, and may still call
    Given the job wants a sign of life every 1 second
    And the export takes 2 polls
    And the vendor calls after 2 polls
    When a job lands the export
    Then the job is COMPLETED
    And the vendor's call was heard
    And the API was asked to start 1 time and polled 3 times

  Scenario: An export that breaks in silence is noticed long before patience is over
    Given the job wants a sign of life every 1 second
    And the export fails at the vendor
    When a job lands the export
    Then the job is FAILED because of ExportFailedError

  Scenario: A job that sleeps can be cancelled
    Given the job wants a sign of life every 600 seconds
    And the job says how to finish and to abort an export
    When a job of the export falls asleep and is stopped
    Then the job is CANCELLED
    And the vendor was told to finish 0 times and to abort 1 time
