Feature: A job is one thing, whoever asks
  A job belongs to the execution that took it, tells the event bus what becomes of it, and always comes to an end.

  Scenario: A second execution of a live job touches nothing
    Given a source with these files
      | path  | size    |
      | /slow | 6000000 |
    And slow is held back
    When a job is started and its transfer has begun
    And the same job is started again
    Then the second execution fails with JobIsLiveError
    When slow is released
    Then the job is COMPLETED
    And the source was asked once for slow

  Scenario: A job that has ended may be submitted again
    Given a source with these files
      | path | size |
      | /a   | 10   |
    When a job lands all of them
    And the same job is run again
    Then the job is COMPLETED
    And it is run 2 of the job

  Scenario: An execution that is stopped ends its job
    Given a source with these files
      | path  | size     |
      | /slow | 12000000 |
    And slow is held back
    When a job is started and its transfer has begun
    And its execution is stopped
    Then the job is CANCELLED
    And the report has a line for every file
    When slow is released
    Then nothing is left of slow

  Scenario: Every change of a job is announced, and the files that did not land
    Given a source with these files
      | path  | size |
      | /good | 10   |
      | /bad  | 10   |
    And bad has another sha256
    And the event bus is listened to
    When a job lands all of them
    Then the job is COMPLETED_WITH_FAILURES
    And the job's states were announced as REQUESTED, TRANSFERRING, COMPLETED_WITH_FAILURES
    And bad was announced as REJECTED
    And good was not announced
