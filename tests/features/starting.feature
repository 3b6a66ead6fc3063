Feature: Jobs start in more than one way
  A job need not be started by hand: an event is enough, and whoever waits for it is answered.

  Scenario: An event on the bus starts a job
    Given a source with these files
      | path | size |
      | /a   | 10   |
    When an event asks for the job
    Then the job is COMPLETED
    And every stored file is identical to its source

  Scenario: The same job asked for twice at once runs once
    Given a source with these files
      | path  | size    |
      | /slow | 6000000 |
    And slow is held back
    When an event asks for the job
    And its transfer has begun
    And an event asks for the job again
    And slow is released
    Then the job is COMPLETED
    And it was run 1 time

  Scenario: A workflow that waits for the job is answered with its summary
    Given a source with these files
      | path | size |
      | /a   | 10   |
    When another workflow starts the job and waits
    Then that workflow goes on with the summary

  Scenario: A workflow that waits for a job that fails is told why
    Given a source with these files
      | path | size |
      | /a   | 10   |
    And a answers 404
    When another workflow starts the job and waits
    Then that workflow fails with NoFileLandedError
